import { expect, test } from "vitest";
import type { Geometry } from "../../wire.gen";
import { TestEditor, view } from "../test-editor";

const box: Geometry = { type: "bbox", x: 100, y: 100, width: 100, height: 60 };
const above: Geometry = { type: "bbox", x: 150, y: 120, width: 100, height: 60 };
const square: Geometry = {
	type: "polygon",
	rings: [
		[
			[20, 20],
			[80, 20],
			[80, 80],
			[20, 80],
		],
	],
};

test("a click selects the topmost shape, Shift adds to it and takes away again, and none makes an edit", () => {
	const editor = new TestEditor("select", { box, above, square });
	editor.click([170, 140]);
	expect(editor.selected).toEqual(["above"]);
	editor.click([50, 50], { shift: true });
	expect(editor.selected).toEqual(["above", "square"]);
	editor.click([170, 140], { shift: true });
	expect(editor.selected).toEqual(["square"]);
	expect(editor.edits).toHaveLength(0);
});

test("a click beside everything selects nothing", () => {
	const editor = new TestEditor("select", { box });
	editor.click([150, 130]);
	editor.click([10, 290]);
	expect(editor.selected).toEqual([]);
});

test("dragging a shape selects it and moves it, in one edit", () => {
	const editor = new TestEditor("select", { box });
	editor.drag([
		[150, 130],
		[160, 130],
		[170, 150],
	]);
	expect(editor.selected).toEqual(["box"]);
	expect(editor.edits).toHaveLength(1);
	expect(editor.made).toEqual([{ ...box, x: 120, y: 120 }]);
});

test("a drag that comes back to where it began is no edit", () => {
	const editor = new TestEditor("select", { box });
	editor.drag([
		[150, 130],
		[190, 130],
		[150, 130],
	]);
	expect(editor.edits).toHaveLength(0);
});

test("all that is selected moves together, and the picture's edge holds all of it", () => {
	const editor = new TestEditor("select", { box, square });
	editor.document.select(["box", "square"]);
	editor.drag([
		[150, 130],
		[100, 110],
	]);
	expect(editor.edits).toHaveLength(1);
	expect(editor.made).toEqual([
		{ ...box, x: 80, y: 80 },
		{
			type: "polygon",
			rings: [
				[
					[0, 0],
					[60, 0],
					[60, 60],
					[0, 60],
				],
			],
		},
	]);
});

test("a corner of the selected box drags; its opposite stays", () => {
	const editor = new TestEditor("select", { box });
	editor.click([150, 130]);
	editor.drag([
		[200, 160],
		[220, 200],
	]);
	expect(editor.made).toEqual([{ ...box, width: 120, height: 100 }]);
});

test("a vertex of the selected polygon drags", () => {
	const editor = new TestEditor("select", { square });
	editor.click([50, 50]);
	editor.drag([
		[80, 80],
		[90, 95],
		[100, 110],
	]);
	expect(editor.edits).toHaveLength(1);
	expect(editor.made).toEqual([
		{
			type: "polygon",
			rings: [
				[
					[20, 20],
					[80, 20],
					[100, 110],
					[20, 80],
				],
			],
		},
	]);
});

test("Alt and a press on an edge adds a vertex there, and the same press drags it", () => {
	const editor = new TestEditor("select", { square });
	editor.click([50, 50]);
	editor.click([50, 22], { alt: true });
	expect(editor.made).toEqual([
		{
			type: "polygon",
			rings: [
				[
					[20, 20],
					[50, 20],
					[80, 20],
					[80, 80],
					[20, 80],
				],
			],
		},
	]);
	editor.drag(
		[
			[20, 50],
			[5, 50],
		],
		{ alt: true },
	);
	expect(editor.edits).toHaveLength(2);
	expect(editor.made).toEqual([
		{
			type: "polygon",
			rings: [
				[
					[20, 20],
					[50, 20],
					[80, 20],
					[80, 80],
					[20, 80],
					[5, 50],
				],
			],
		},
	]);
});

test("Alt+Shift and a click on a vertex removes it, while three are left", () => {
	const editor = new TestEditor("select", { square });
	editor.click([50, 50]);
	editor.click([80, 80], { alt: true, shift: true });
	expect(editor.made).toEqual([
		{
			type: "polygon",
			rings: [
				[
					[20, 20],
					[80, 20],
					[20, 80],
				],
			],
		},
	]);
	editor.click([80, 20], { alt: true, shift: true });
	expect(editor.edits).toHaveLength(1);
});

test("Escape puts a shape in hand back", () => {
	const editor = new TestEditor("select", { box });
	editor.hand.down({ at: [150, 130], shift: false, alt: false });
	editor.hover([190, 150]);
	expect(editor.hand.preview.inHand).toMatchObject([{ id: "box", geometry: { x: 140, y: 120 } }]);
	editor.hand.cancel();
	editor.hand.up({ at: [190, 150], shift: false, alt: false });
	expect(editor.edits).toHaveLength(0);
});

test("a frame dragged over shapes selects those that lie within it", () => {
	const editor = new TestEditor("select", { box, above, square });
	editor.drag([
		[5, 5],
		[210, 170],
	]);
	expect(editor.selected).toEqual(["box", "square"]);
});

test("what may not be changed can be selected, not moved or reshaped", () => {
	const editor = new TestEditor("select", { box: view("box", box, { editable: false }), square });
	editor.drag([
		[150, 130],
		[170, 150],
	]);
	expect(editor.selected).toEqual(["box"]);
	editor.drag([
		[200, 160],
		[250, 250],
	]);
	editor.editable = false;
	editor.drag([
		[50, 50],
		[60, 60],
	]);
	expect(editor.selected).toEqual(["square"]);
	expect(editor.edits).toHaveLength(0);
});

test("handles keep their reach on the screen, whatever the zoom", () => {
	const editor = new TestEditor("select", { box });
	editor.click([150, 130]);
	editor.pixel = 4;
	editor.drag([
		[220, 180],
		[300, 200],
	]);
	expect(editor.made).toEqual([{ ...box, width: 180, height: 80 }]);
});

test("the cursor says what a press would do", () => {
	const editor = new TestEditor("select", { box });
	editor.hover([150, 130]);
	expect(editor.hand.cursor).toBe("move");
	editor.click([150, 130]);
	editor.hover([200, 160]);
	expect(editor.hand.cursor).toBe("nwse-resize");
	editor.hover([300, 10]);
	expect(editor.hand.cursor).toBe("default");
});
