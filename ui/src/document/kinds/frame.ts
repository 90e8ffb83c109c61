/** The eight handles around a box and what dragging one does, in the box's own unturned frame. */

import type { Point } from "../point";
import { heightOf, type Rect, widthOf } from "../rect";
import type { Handle } from "./kind";

/** Where each handle sits, from the top-left corner clockwise: -1 the low edge, 0 the middle, 1 the high edge. */
const PLACES: readonly Point[] = [
	[-1, -1],
	[0, -1],
	[1, -1],
	[1, 0],
	[1, 1],
	[0, 1],
	[-1, 1],
	[-1, 0],
];

export const FRAME_HANDLES = PLACES.length;

const CURSORS = ["nwse-resize", "ns-resize", "nesw-resize", "ew-resize"];

export function frameHandles(rect: Rect, degrees = 0): Handle[] {
	const eighths = Math.round(degrees / 45);
	return PLACES.map((place, index) => ({
		at: [
			(rect.left + rect.right) / 2 + (place[0] * widthOf(rect)) / 2,
			(rect.top + rect.bottom) / 2 + (place[1] * heightOf(rect)) / 2,
		],
		role: index % 2 === 0 ? "corner" : "side",
		cursor: CURSORS[(((index + eighths) % 4) + 4) % 4] as string,
	}));
}

/** `rect` with one handle dragged; the side across stays, and dragging past it turns the box over. */
export function resized(rect: Rect, handle: number, to: Point, keep: boolean): Rect {
	const [px, py] = PLACES[handle] as Point;
	let [x, y] = to;
	if (keep && px !== 0 && py !== 0 && widthOf(rect) > 0 && heightOf(rect) > 0) {
		const [fixedX, fixedY] = [px < 0 ? rect.right : rect.left, py < 0 ? rect.bottom : rect.top];
		const factor = Math.min(Math.abs(x - fixedX) / widthOf(rect), Math.abs(y - fixedY) / heightOf(rect));
		x = fixedX + (Math.sign(x - fixedX) || px) * factor * widthOf(rect);
		y = fixedY + (Math.sign(y - fixedY) || py) * factor * heightOf(rect);
	}
	const xs = px < 0 ? [x, rect.right] : px > 0 ? [rect.left, x] : [rect.left, rect.right];
	const ys = py < 0 ? [y, rect.bottom] : py > 0 ? [rect.top, y] : [rect.top, rect.bottom];
	return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}
