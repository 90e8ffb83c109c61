import { describe, expect, it } from "vitest";
import { caps, chord, type Stroke } from "./chord";
import { commandFor } from "./dispatch";
import { chordOf, KEYMAP } from "./keymap";

const stroke = (over: Partial<Stroke>): Stroke => ({
	key: "",
	code: "",
	ctrlKey: false,
	metaKey: false,
	shiftKey: false,
	altKey: false,
	...over,
});
const inImage = { imageOpen: true, typing: false };

describe("the keymap", () => {
	it("gives no chord two meanings, whatever the scope", () => {
		const seen = new Map<string, string>();
		for (const { chord, command } of KEYMAP) {
			expect(seen.get(chord), chord).toBeUndefined();
			seen.set(chord, command);
		}
	});

	it("has every digit for a label, the arrows to nudge, and both keys for a box", () => {
		for (const digit of "1234567890") expect(chordOf(`label_${digit}` as "label_1")).toBe(digit);
		expect(commandFor(stroke({ key: "ArrowUp", shiftKey: true }), inImage)).toBe("nudge_far_up");
		expect(commandFor(stroke({ key: "w", code: "KeyW" }), inImage)).toBe("tool_box");
		expect(commandFor(stroke({ key: "r", code: "KeyR" }), inImage)).toBe("tool_box");
	});

	it("tells Ctrl+W from W, and Ctrl+Shift+Z from Ctrl+Z", () => {
		expect(commandFor(stroke({ key: "w", ctrlKey: true }), inImage)).toBe("close_image");
		expect(commandFor(stroke({ key: "z", ctrlKey: true }), inImage)).toBe("undo");
		expect(commandFor(stroke({ key: "Z", ctrlKey: true, shiftKey: true }), inImage)).toBe("redo");
	});

	it("zooms by plus and minus, wherever a layout has them", () => {
		for (const plus of [{ key: "=" }, { key: "+", shiftKey: true }, { key: "+", code: "NumpadAdd" }])
			expect(commandFor(stroke({ ...plus, ctrlKey: true }), inImage)).toBe("zoom_in");
		expect(commandFor(stroke({ key: "-", ctrlKey: true }), inImage)).toBe("zoom_out");
		expect(caps("Mod+Plus", false)).toEqual(["Ctrl", "+"]);
	});

	it("leaves letters and Ctrl+Z to a text field, and keeps Ctrl+S", () => {
		const typing = { imageOpen: true, typing: true };
		expect(commandFor(stroke({ key: "w" }), typing)).toBeNull();
		expect(commandFor(stroke({ key: "z", ctrlKey: true }), typing)).toBeNull();
		expect(commandFor(stroke({ key: "s", ctrlKey: true }), typing)).toBe("sync");
	});

	it("means nothing in the image scope while no image is open", () => {
		expect(commandFor(stroke({ key: "v" }), { imageOpen: false, typing: false })).toBeNull();
	});
});

describe("a chord", () => {
	it("goes by the place of the key on a layout without Latin letters", () => {
		expect(chord(stroke({ key: "м", code: "KeyV" }), false)).toBe("V");
	});

	it("goes by the typed letter on a Latin layout", () => {
		expect(chord(stroke({ key: "z", code: "KeyY", ctrlKey: true }), false)).toBe("Mod+Z");
	});

	it("takes Command for Mod on a Mac, and reads as its keys do", () => {
		expect(chord(stroke({ key: "s", metaKey: true }), true)).toBe("Mod+S");
		expect(caps("Mod+Shift+Z", true)).toEqual(["⌘", "⇧", "Z"]);
		expect(caps("Mod+ArrowLeft", false)).toEqual(["Ctrl", "←"]);
	});
});
