/** A key with its modifiers, written as text: how the keymap names keys, how events are looked up, what people read. */

export interface Stroke {
	key: string;
	code: string;
	ctrlKey: boolean;
	metaKey: boolean;
	shiftKey: boolean;
	altKey: boolean;
}

const IS_MAC = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.userAgent);

const MODIFIERS = ["Mod", "Alt", "Shift"] as const;

/** The chord that `stroke` is. */
export function chord(stroke: Stroke, mac = IS_MAC): string {
	const held = { Mod: mac ? stroke.metaKey : stroke.ctrlKey, Alt: stroke.altKey, Shift: stroke.shiftKey };
	return [...MODIFIERS.filter((modifier) => held[modifier]), keyName(stroke)].join("+");
}

function keyName({ key, code, shiftKey }: Stroke): string {
	// A layout without Latin letters still has them on the key caps: go by the place of the key.
	const latin = /^[\x20-\x7e]$/.test(key) || key.length > 1;
	const place = /^(?:Key|Digit|Numpad)(\w)$/.exec(code)?.[1];
	// With Shift a digit key types a sign; its chord is still that digit.
	if (place && (!latin || (shiftKey && code.startsWith("Digit")))) return place;
	return NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}

/** A plus is what holds a chord together; where it needs Shift, people press the key without. */
const NAMES: Record<string, string> = { "+": "Plus", "=": "Plus", "-": "Minus" };

const SIGNS: Record<string, string> = {
	ArrowLeft: "←",
	ArrowRight: "→",
	ArrowUp: "↑",
	ArrowDown: "↓",
	Escape: "Esc",
	Delete: "Del",
	Backspace: "⌫",
	Plus: "+",
	Minus: "−",
};
const MAC_SIGNS: Record<string, string> = { Mod: "⌘", Shift: "⇧", Alt: "⌥" };

/** The parts of `text` as they are printed on the keys. */
export const caps = (text: string, mac = IS_MAC): string[] =>
	text
		.split("+")
		.map((part) => (mac ? MAC_SIGNS[part] : undefined) ?? (part === "Mod" ? "Ctrl" : (SIGNS[part] ?? part)));
