import { expect, test, vi } from "vitest";
import type { AnnotationView, Delta, Geometry } from "../wire.gen";
import { edit, put, remove } from "./edits";
import { ImageDocument } from "./image-document";

const history = { can_undo: false, can_redo: false };
let moment = 0;
const save = () => ({ as_of: ++moment, state: "synced" as const, unsent: 0, conflicts: 0, refused: 0 });
const at = (x: number): Geometry => ({ type: "bbox", x, y: 0, width: 10, height: 10 });
const fields = (x: number) => ({ label_id: null, geometry: at(x), attributes: {} });
const view = (id: string, x: number, version = 1): AnnotationView => ({
	id,
	version,
	editable: true,
	sync: "synced",
	...fields(x),
});
const delta = (changed: AnnotationView[], removed: string[] = []): Delta => ({
	image_id: "i",
	changed,
	removed,
	history: { can_undo: true, can_redo: false },
	save: save(),
});

const opened = (...annotations: AnnotationView[]) => new ImageDocument({ annotations, history, save: save() });
const xOf = (document: ImageDocument, id: string) => (document.get(id)?.geometry as { x: number } | undefined)?.x;
const ids = (document: ImageDocument) => document.annotations.map(({ id }) => id);

/** Sending that the test answers when it likes. */
function wire() {
	const answers: { answer: (delta: Delta) => void; fail: (why: Error) => void }[] = [];
	const send = () => new Promise<Delta>((answer, fail) => answers.push({ answer, fail }));
	return { answers, send };
}

test("an earlier state that arrives later changes nothing", () => {
	const document = opened(view("a", 1));
	const unsent = delta([{ ...view("a", 2), sync: "unsent" }]);
	const synced = delta([view("a", 2, 2)]);
	document.apply(synced);
	document.apply(unsent);
	expect(document.get("a")?.sync).toBe("synced");
	const removed = delta([], ["a"]);
	const before = delta([view("a", 3)]);
	document.apply(before);
	document.apply(removed);
	expect(document.count).toBe(1);
});

test("an edit shows before the core has answered, and stays when it has", async () => {
	const document = opened(view("a", 1));
	const { answers, send } = wire();
	const sent = document.commit(edit(put("a", fields(2)), put("b", fields(3))), send);
	expect([xOf(document, "a"), xOf(document, "b")]).toEqual([2, 3]);
	expect(document.get("a")?.sync).toBe("unsent");
	answers[0]?.answer(delta([view("a", 2, 2), view("b", 3)]));
	await sent;
	expect(document.get("a")).toEqual(view("a", 2, 2));
	expect(document.history.can_undo).toBe(true);
});

test("an edit that fails is taken back, and the caller is told", async () => {
	const document = opened(view("a", 1), view("gone", 5));
	const { answers, send } = wire();
	const sent = document.commit(edit(put("a", fields(2)), put("b", fields(3)), remove("gone")), send);
	expect(ids(document)).toEqual(["a", "b"]);
	answers[0]?.fail(new Error("the disk is full"));
	await expect(sent).rejects.toThrow("the disk is full");
	expect(ids(document)).toEqual(["a", "gone"]);
	expect(document.get("a")).toEqual(view("a", 1));
});

test("the answer to an earlier edit does not push back a later one", async () => {
	const document = opened(view("a", 1));
	const { answers, send } = wire();
	const first = document.commit(edit(put("a", fields(2))), send);
	const second = document.commit(edit(put("a", fields(3))), send);
	answers[0]?.answer(delta([view("a", 2, 2)]));
	await first;
	expect(xOf(document, "a")).toBe(3);
	answers[1]?.fail(new Error("refused"));
	await expect(second).rejects.toThrow();
	expect(xOf(document, "a")).toBe(2);
});

test("news from elsewhere does not push back an unanswered edit", () => {
	const document = opened(view("a", 1), view("b", 1));
	void document.commit(edit(put("a", fields(2))), wire().send);
	document.apply(delta([view("a", 9, 7), view("b", 9, 7)]));
	expect([xOf(document, "a"), xOf(document, "b")]).toEqual([2, 9]);
});

test("an undone removal comes back between its neighbours", () => {
	const document = opened(view("a", 1), view("b", 2), view("c", 3));
	document.apply(delta([], ["b"]));
	expect(ids(document)).toEqual(["a", "c"]);
	document.apply(delta([view("b", 2, 3), view("d", 4)]));
	expect(ids(document)).toEqual(["a", "b", "c", "d"]);
});

test("what is gone is not selected", () => {
	const document = opened(view("a", 1), view("b", 2));
	document.select(["a", "b"]);
	document.apply(delta([], ["a"]));
	expect([...document.selection]).toEqual(["b"]);
	expect(document.selected.map(({ id }) => id)).toEqual(["b"]);
});

test("a conflict is not settled by editing on", () => {
	const document = opened({ ...view("a", 1), sync: "conflict" });
	void document.commit(edit(put("a", fields(2))), wire().send);
	expect(document.get("a")?.sync).toBe("conflict");
});

test("listeners hear which shapes changed and whether the selection did, once for each step", () => {
	const document = opened(view("a", 1));
	const heard = vi.fn();
	const stop = document.subscribe(heard);
	document.select(["a"]);
	document.select(["a"]);
	document.apply(delta([view("a", 2), view("b", 2)]));
	document.apply(delta([], ["a"]));
	stop();
	document.select([]);
	expect(heard.mock.calls).toEqual([
		[{ shapes: [], selection: true }],
		[{ shapes: ["a", "b"], selection: false }],
		[{ shapes: ["a"], selection: true }],
	]);
});
