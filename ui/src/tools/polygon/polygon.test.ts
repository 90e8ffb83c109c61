import { expect, test } from "vitest";
import type { Point } from "../../document/point";
import { TestEditor } from "../test-editor";

const triangle: Point[] = [
	[10, 10],
	[100, 10],
	[100, 80],
];

function begun(points: Point[] = triangle): TestEditor {
	const editor = new TestEditor("polygon");
	for (const point of points) editor.click(point);
	return editor;
}

const finished = [{ type: "polygon", rings: [triangle] }];

test("Enter finishes, as one edit", () => {
	const editor = begun();
	expect(editor.edits).toHaveLength(0);
	expect(editor.hand.key("Enter")).toBe(true);
	expect(editor.made).toEqual(finished);
	expect(editor.edits).toHaveLength(1);
	expect(editor.selected).toHaveLength(1);
});

test("a click on the first vertex finishes", () => {
	const editor = begun();
	editor.hover([13, 12]);
	expect(editor.hand.preview.sketch?.closes).toBe(true);
	editor.click([13, 12]);
	expect(editor.made).toEqual(finished);
});

test("a double click adds its place once and finishes", () => {
	const editor = begun([
		[10, 10],
		[100, 10],
	]);
	editor.doubleClick([100, 80]);
	expect(editor.made).toEqual(finished);
});

test("Backspace takes back the last vertex, down to none", () => {
	const editor = begun([...triangle, [50, 200]]);
	editor.hand.key("Backspace");
	editor.hand.key("Enter");
	expect(editor.made).toEqual(finished);
	const other = begun([[10, 10]]);
	other.hand.key("Backspace");
	expect(other.hand.busy).toBe(false);
	expect(other.hand.key("Backspace")).toBe(false);
});

test("fewer than three vertices are no polygon yet", () => {
	const editor = begun([
		[10, 10],
		[100, 10],
	]);
	editor.hand.key("Enter");
	expect(editor.edits).toHaveLength(0);
	editor.click([100, 80]);
	editor.hand.key("Enter");
	expect(editor.made).toEqual(finished);
});

test("Shift turns the next edge to the nearest eighth", () => {
	const editor = begun([[10, 10]]);
	editor.click([100, 14], { shift: true });
	editor.click([60, 55], { shift: true });
	editor.hand.key("Enter");
	expect(editor.made).toEqual([
		{
			type: "polygon",
			rings: [
				[
					[10, 10],
					[100, 10],
					[57.5, 52.5],
				],
			],
		},
	]);
});

test("vertices stay on the picture", () => {
	const editor = begun([
		[-5, 10],
		[500, 10],
		[100, 400],
	]);
	editor.hand.key("Enter");
	expect(editor.made).toEqual([
		{
			type: "polygon",
			rings: [
				[
					[0, 10],
					[400, 10],
					[100, 300],
				],
			],
		},
	]);
});

test("Escape forgets the polygon", () => {
	const editor = begun();
	expect(editor.hand.cancel()).toBe(true);
	editor.hand.key("Enter");
	expect(editor.edits).toHaveLength(0);
});

test("a sliver that nobody could see is not made", () => {
	const editor = begun([
		[10, 10],
		[60, 10.5],
		[100, 11],
	]);
	editor.hand.key("Enter");
	expect(editor.edits).toHaveLength(0);
});
