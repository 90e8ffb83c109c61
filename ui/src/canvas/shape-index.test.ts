import { expect, test } from "vitest";
import { ImageDocument } from "../document";
import { view } from "../tools/test-editor";
import type { AnnotationView, Delta } from "../wire.gen";
import { ShapeIndex } from "./shape-index";

const history = { can_undo: false, can_redo: false };
let moment = 0;
const save = () => ({ as_of: ++moment, state: "synced" as const, unsent: 0, conflicts: 0, refused: 0 });

const box = (id: string, x: number, y = 0, size = 10): AnnotationView =>
	view(id, { type: "bbox", x, y, width: size, height: size });

function opened(...annotations: AnnotationView[]) {
	const document = new ImageDocument({ annotations, history });
	const index = new ShapeIndex(document);
	const apply = (changed: AnnotationView[], removed: string[] = []) => {
		document.apply({ image_id: "i", changed, removed, history, save: save() } satisfies Delta);
		index.refresh([...changed.map(({ id }) => id), ...removed]);
	};
	return { index, apply };
}

const all = { left: 0, top: 0, right: 1e6, bottom: 1e6 };
const ids = (shapes: readonly AnnotationView[]) => shapes.map(({ id }) => id);

test("what is found comes in drawing order, whatever its place", () => {
	const { index } = opened(box("c", 300), box("a", 100), box("b", 200));
	expect(ids(index.within(all))).toEqual(["c", "a", "b"]);
	expect(ids(index.within({ left: 150, top: 0, right: 400, bottom: 9 }))).toEqual(["c", "b"]);
});

test("the topmost shape at a place is the last drawn one that is really there", () => {
	const ring: [number, number][] = [
		[0, 0],
		[100, 0],
		[0, 100],
	];
	const { index } = opened(box("under", 80, 80, 20), view("corner", { type: "polygon", rings: [ring] }));
	expect(index.topmostAt([95, 95], 2)?.id).toBe("under");
	expect(index.topmostAt([10, 10], 2)?.id).toBe("corner");
	expect(index.topmostAt([200, 200], 2)).toBeNull();
});

test("a shape that moved is found where it is, as it is, in its old order, and no longer where it was", () => {
	const { index, apply } = opened(box("a", 100), box("b", 200));
	const moved = box("a", 500);
	apply([moved]);
	expect(index.topmostAt([105, 5], 1)).toBeNull();
	expect(index.topmostAt([505, 5], 1)).toEqual(moved);
	expect(ids(index.within(all))).toEqual(["a", "b"]);
});

test("shapes that come and go are found and not found", () => {
	const { index, apply } = opened(box("a", 100));
	apply([box("b", 200)], ["a"]);
	expect(ids(index.within(all))).toEqual(["b"]);
	apply([box("a", 100)], ["b"]);
	expect(ids(index.within(all))).toEqual(["a"]);
});

test("many changes are as good as few", () => {
	const { index, apply } = opened(...Array.from({ length: 1000 }, (_, n) => box(`${n}`, n * 20)));
	apply(Array.from({ length: 600 }, (_, n) => box(`${n}`, n * 20, 5000)));
	expect(index.within({ left: 0, top: 0, right: 1e6, bottom: 100 })).toHaveLength(400);
	expect(ids(index.within(all))).toEqual(Array.from({ length: 1000 }, (_, n) => `${n}`));
});

test("only what lies within an area whole is enclosed by it", () => {
	const { index } = opened(box("in", 20), box("across", 95));
	expect(ids(index.enclosedBy({ left: 0, top: 0, right: 100, bottom: 100 }))).toEqual(["in"]);
});

test("a tag is nowhere, and an empty image has nothing", () => {
	expect(opened(view("tag", { type: "tag" })).index.within(all)).toEqual([]);
	expect(opened().index.topmostAt([1, 1], 5)).toBeNull();
});
