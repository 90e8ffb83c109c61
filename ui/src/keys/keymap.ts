/** Which key does what: the whole map, as data. */

import type { Key } from "../strings/say";

export type Digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";
export type Direction = "left" | "right" | "up" | "down";

export type Command =
	| "search"
	| "previous_image"
	| "next_image"
	| "close_image"
	| "sync"
	| "quit"
	| "shortcuts"
	| "tool_select"
	| "tool_box"
	| "tool_polygon"
	| "fit"
	| "actual_size"
	| "zoom_in"
	| "zoom_out"
	| "undo"
	| "redo"
	| "delete"
	| "escape"
	| `label_${Digit}`
	| `nudge_${Direction}`
	| `nudge_far_${Direction}`;

/** Where a binding holds: everywhere, or only while an image is open. */
export type Scope = "window" | "image";

export type Group = "images" | "tools" | "edit" | "view" | "app";

export interface Binding {
	/** As `Mod+Shift+Z`: `Mod` is Ctrl, and Command on a Mac; a letter stands for the key that types it. */
	chord: string;
	command: Command;
	scope: Scope;
	group: Group;
	/** What it does, for the list of shortcuts. */
	says: Key;
}

const DIGITS: Digit[] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"];
const ARROWS: [string, Direction][] = [
	["ArrowLeft", "left"],
	["ArrowRight", "right"],
	["ArrowUp", "up"],
	["ArrowDown", "down"],
];

export const KEYMAP: readonly Binding[] = [
	{ chord: "A", command: "previous_image", scope: "image", group: "images", says: "image.previous" },
	{ chord: "D", command: "next_image", scope: "image", group: "images", says: "image.next" },
	{ chord: "Mod+W", command: "close_image", scope: "image", group: "images", says: "image.close" },
	{ chord: "Mod+F", command: "search", scope: "window", group: "images", says: "images.search" },

	{ chord: "V", command: "tool_select", scope: "image", group: "tools", says: "tool.select" },
	{ chord: "W", command: "tool_box", scope: "image", group: "tools", says: "tool.box" },
	{ chord: "R", command: "tool_box", scope: "image", group: "tools", says: "tool.box" },
	{ chord: "P", command: "tool_polygon", scope: "image", group: "tools", says: "tool.polygon" },
	{ chord: "Escape", command: "escape", scope: "image", group: "tools", says: "key.escape" },
	...DIGITS.map(
		(digit): Binding => ({
			chord: digit,
			command: `label_${digit}`,
			scope: "image",
			group: "tools",
			says: "key.label",
		}),
	),

	{ chord: "Mod+Z", command: "undo", scope: "image", group: "edit", says: "edit.undo" },
	{ chord: "Mod+Shift+Z", command: "redo", scope: "image", group: "edit", says: "edit.redo" },
	{ chord: "Mod+Y", command: "redo", scope: "image", group: "edit", says: "edit.redo" },
	{ chord: "Delete", command: "delete", scope: "image", group: "edit", says: "key.delete" },
	{ chord: "Backspace", command: "delete", scope: "image", group: "edit", says: "key.delete" },
	...ARROWS.map(
		([chord, direction]): Binding => ({
			chord,
			command: `nudge_${direction}`,
			scope: "image",
			group: "edit",
			says: "key.nudge",
		}),
	),
	...ARROWS.map(
		([chord, direction]): Binding => ({
			chord: `Shift+${chord}`,
			command: `nudge_far_${direction}`,
			scope: "image",
			group: "edit",
			says: "key.nudge_far",
		}),
	),

	{ chord: "F", command: "fit", scope: "image", group: "view", says: "tool.fit" },
	{ chord: "Mod+0", command: "actual_size", scope: "image", group: "view", says: "tool.actual_size" },
	{ chord: "Mod+Plus", command: "zoom_in", scope: "image", group: "view", says: "key.zoom_in" },
	{ chord: "Mod+Shift+Plus", command: "zoom_in", scope: "image", group: "view", says: "key.zoom_in" },
	{ chord: "Mod+Minus", command: "zoom_out", scope: "image", group: "view", says: "key.zoom_out" },

	{ chord: "Mod+S", command: "sync", scope: "window", group: "app", says: "key.sync" },
	{ chord: "F1", command: "shortcuts", scope: "window", group: "app", says: "account.shortcuts" },
	{ chord: "Mod+Q", command: "quit", scope: "window", group: "app", says: "account.quit" },
];

/** The first chord of `command`, for tooltips. */
export const chordOf = (command: Command): string => KEYMAP.find((binding) => binding.command === command)?.chord ?? "";
