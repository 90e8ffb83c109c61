import { expect, test } from "vitest";
import { TestEditor } from "../test-editor";

const frame = { type: "bbox" as const, x: 0, y: 0, width: 400, height: 300 };

test("a drag makes one box, in one edit, of the active label, and selects it", () => {
	const editor = new TestEditor("box");
	editor.drag([
		[10, 20],
		[30, 30],
		[110, 70],
	]);
	expect(editor.edits).toHaveLength(1);
	expect(editor.edits[0]?.changes).toMatchObject([
		{ change: "put", label_id: "cell", geometry: { type: "bbox", x: 10, y: 20, width: 100, height: 50 } },
	]);
	expect(editor.selected).toEqual([editor.edits[0]?.changes[0]?.id]);
});

test("two clicks make the same box as a drag", () => {
	const editor = new TestEditor("box");
	editor.click([110, 70]);
	expect(editor.edits).toHaveLength(0);
	editor.hover([50, 50]);
	expect(editor.hand.preview.inHand).toHaveLength(1);
	editor.click([10, 20]);
	expect(editor.made).toEqual([{ type: "bbox", x: 10, y: 20, width: 100, height: 50 }]);
});

test("the tool stays for the next box", () => {
	const editor = new TestEditor("box");
	editor.drag([
		[10, 10],
		[50, 50],
	]);
	editor.drag([
		[60, 60],
		[90, 90],
	]);
	expect(editor.edits).toHaveLength(2);
});

test("Shift makes a square, as large as the picture has room for", () => {
	const editor = new TestEditor("box");
	editor.drag(
		[
			[10, 10],
			[50, 30],
		],
		{ shift: true },
	);
	expect(editor.made).toMatchObject([{ x: 10, y: 10, width: 40, height: 40 }]);
	editor.drag(
		[
			[10, 290],
			[100, 295],
		],
		{ shift: true },
	);
	expect(editor.made).toMatchObject([{ x: 10, y: 290, width: 10, height: 10 }]);
});

test("a box ends where the picture ends", () => {
	const editor = new TestEditor("box");
	editor.drag([
		[-50, 280],
		[20, 900],
	]);
	expect(editor.made).toMatchObject([{ x: 0, y: 280, width: 20, height: 20 }]);
});

test("a box of less than two screen pixels is not made, however far one has zoomed", () => {
	const editor = new TestEditor("box");
	editor.drag([
		[10, 10],
		[80, 11],
	]);
	expect(editor.edits).toHaveLength(0);
	editor.pixel = 0.1;
	editor.drag([
		[10, 10],
		[80, 11],
	]);
	expect(editor.edits).toHaveLength(1);
});

test("Escape forgets the box that was begun", () => {
	const editor = new TestEditor("box");
	editor.click([10, 10]);
	editor.hover([50, 50]);
	expect(editor.hand.cancel()).toBe(true);
	editor.hover([90, 90]);
	expect(editor.hand.preview.inHand ?? []).toHaveLength(0);
	expect(editor.edits).toHaveLength(0);
});

test("what is there already is never grabbed", () => {
	const editor = new TestEditor("box", { frame });
	editor.drag([
		[10, 10],
		[50, 50],
	]);
	expect(editor.edits[0]?.changes).toHaveLength(1);
	expect(editor.document.get("frame")?.geometry).toEqual(frame);
});

test("nothing can be drawn on an image that is only looked at", () => {
	const editor = new TestEditor("box");
	editor.editable = false;
	editor.drag([
		[10, 10],
		[50, 50],
	]);
	editor.click([10, 10]);
	editor.click([50, 50]);
	expect(editor.edits).toHaveLength(0);
});
