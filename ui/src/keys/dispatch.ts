/** From a keystroke to the command that it means here. */

import { chord, type Stroke } from "./chord";
import { type Command, KEYMAP, type Scope } from "./keymap";

const BY_SCOPE: Record<Scope, Map<string, Command>> = { window: new Map(), image: new Map() };
for (const { scope, chord, command } of KEYMAP) BY_SCOPE[scope].set(chord, command);

/** `null`: it means nothing of ours. While text is being typed, only what no text field wants is ours. */
export function commandFor(stroke: Stroke, where: { imageOpen: boolean; typing: boolean }): Command | null {
	const pressed = chord(stroke);
	if (where.typing && !OVER_TEXT.has(pressed)) return null;
	const image = where.imageOpen ? BY_SCOPE.image.get(pressed) : undefined;
	return image ?? BY_SCOPE.window.get(pressed) ?? null;
}

const OVER_TEXT: ReadonlySet<string> = new Set(["Mod+S", "Mod+W", "Mod+Q", "Mod+F", "F1"]);

export const isTyping = (target: EventTarget | null): boolean =>
	target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
