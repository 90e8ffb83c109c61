import { beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Point } from "../document/point";
import { TestEditor } from "../tools/test-editor";
import { Camera } from "./camera";
import { Input } from "./input";
import type { Stage } from "./stage";

beforeAll(() => {
	vi.stubGlobal("WheelEvent", { DOM_DELTA_PIXEL: 0, DOM_DELTA_LINE: 1 });
	vi.stubGlobal("Element", class {});
});

let editor: TestEditor;
let camera: Camera;
let input: Input;
let cursor: string | null;

const element = {
	clientLeft: 0,
	clientTop: 0,
	getBoundingClientRect: () => ({ left: 10, top: 20 }),
	setPointerCapture: () => {},
} as unknown as HTMLElement;

beforeEach(() => {
	editor = new TestEditor("box");
	camera = new Camera(() => {});
	camera.resize({ width: 448, height: 348 });
	camera.show(editor.picture);
	cursor = null;
	input = new Input({ camera, hand: editor.hand } as Stage, element, (now) => {
		cursor = now;
	});
});

/** `at` is on the picture, which the camera shows one to one, 24 pixels from the canvas's corner. */
const event = (at: Point, more: object = {}) =>
	({
		clientX: at[0] + 34,
		clientY: at[1] + 44,
		button: 0,
		pointerId: 1,
		deltaX: 0,
		deltaY: 0,
		deltaMode: 0,
		preventDefault: () => {},
		...more,
	}) as unknown as PointerEvent & WheelEvent;

const key = (name: string, more: object = {}) => ({ key: name, target: element, ...more }) as unknown as KeyboardEvent;

test("the pointer reaches the tool in the picture's own pixels", () => {
	input.pointerDown(event([10, 20]));
	input.pointerMove(event([60, 70]));
	input.pointerUp(event([110, 70]));
	expect(editor.made).toEqual([{ type: "bbox", x: 10, y: 20, width: 100, height: 50 }]);
});

test("the middle button, and the primary one with Space held, pull the picture and draw nothing", () => {
	const { x, y } = camera.view;
	input.pointerDown(event([10, 20], { button: 1 }));
	expect(cursor).toBe("grabbing");
	input.pointerMove(event([60, 50]));
	input.pointerUp(event([60, 50], { button: 1 }));
	expect(camera.view).toMatchObject({ x: x + 50, y: y + 30 });
	expect(input.keyDown(key(" "))).toBe(true);
	expect(cursor).toBe("grab");
	input.pointerDown(event([60, 50]));
	input.pointerMove(event([10, 20]));
	input.pointerUp(event([10, 20]));
	input.keyUp(key(" "));
	expect(cursor).toBeNull();
	expect(camera.view).toMatchObject({ x, y });
	expect(editor.edits).toHaveLength(0);
});

test("a window that loses the keyboard does not go on panning", () => {
	input.keyDown(key(" "));
	input.releaseSpace();
	input.pointerDown(event([10, 20]));
	input.pointerUp(event([110, 70]));
	expect(editor.edits).toHaveLength(1);
});

test("the wheel zooms at the pointer", () => {
	input.wheel(event([100, 100], { deltaY: -120 }));
	expect(camera.view.scale).toBeGreaterThan(1.2);
	const [x, y] = camera.at([124, 124]);
	expect(x).toBeCloseTo(100);
	expect(y).toBeCloseTo(100);
});

test("Shift and the wheel, and two fingers, pan; a pinch zooms", () => {
	const { x, y } = camera.view;
	input.wheel(event([0, 0], { deltaY: 100, shiftKey: true }));
	expect(camera.view).toMatchObject({ scale: 1, x: x - 100, y });
	input.wheel(event([0, 0], { deltaX: -100, deltaY: 3 }));
	expect(camera.view).toMatchObject({ scale: 1, x, y: y - 3 });
	input.wheel(event([0, 0], { deltaY: -5, ctrlKey: true }));
	expect(camera.view.scale).toBeGreaterThan(1);
});

test("a pointer that the system takes away ends the gesture without an edit", () => {
	input.pointerDown(event([10, 20]));
	input.pointerMove(event([110, 70]));
	input.pointerCancel();
	input.pointerUp(event([110, 70]));
	expect(editor.edits).toHaveLength(0);
});

test("keys with Ctrl are not the tool's", () => {
	expect(input.keyDown(key("Enter", { ctrlKey: true }))).toBe(false);
});
