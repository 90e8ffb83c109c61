/** A box that is turned about its centre: what rotated boxes and ellipses share. */

import { hundredths, minus, type Point, plus, rotated, tidy } from "../point";
import { type Rect, rectAround } from "../rect";
import { FRAME_HANDLES, frameHandles, resized } from "./frame";
import type { Handle } from "./kind";

export interface Turned {
	centre: Point;
	halfWidth: number;
	halfHeight: number;
	angle: number;
}

/** How far the rotation handle stands off the top edge, in screen pixels: clear of the edge's own handle. */
const STAND_OFF = 24;

export function unturned({ centre: [x, y], halfWidth, halfHeight }: Turned): Rect {
	return { left: x - halfWidth, right: x + halfWidth, top: y - halfHeight, bottom: y + halfHeight };
}

export function corners(box: Turned): Point[] {
	const { left, top, right, bottom } = unturned(box);
	const upright: Point[] = [
		[left, top],
		[right, top],
		[right, bottom],
		[left, bottom],
	];
	return upright.map((corner) => rotated(corner, box.centre, box.angle));
}

/** `at` in the box's own frame, where it stands upright. */
export const inFrame = (box: Turned, at: Point): Point => rotated(at, box.centre, -box.angle);

export const turnedBounds = (box: Turned): Rect => rectAround(corners(box));

export function turnedHandles(box: Turned, pixel: number): Handle[] {
	const rect = unturned(box);
	const upright: Handle[] = [
		...frameHandles(rect, box.angle),
		{ at: [box.centre[0], rect.top - STAND_OFF * pixel], role: "rotate", cursor: "grab" },
	];
	return upright.map((handle) => ({ ...handle, at: rotated(handle.at, box.centre, box.angle) }));
}

export function withTurnedHandleAt(box: Turned, handle: number, to: Point, keep: boolean): Turned {
	if (handle === FRAME_HANDLES) return { ...box, angle: angleTowards(box.centre, to, keep) };
	const rect = resized(unturned(box), handle, inFrame(box, to), keep);
	const middle: Point = [(rect.left + rect.right) / 2, (rect.top + rect.bottom) / 2];
	return {
		// The middle was found in the old frame: turned about the old centre it is where the new one belongs.
		centre: tidy(plus(box.centre, rotated(minus(middle, box.centre), [0, 0], box.angle))),
		halfWidth: hundredths((rect.right - rect.left) / 2),
		halfHeight: hundredths((rect.bottom - rect.top) / 2),
		angle: box.angle,
	};
}

function angleTowards(centre: Point, to: Point, keep: boolean): number {
	const [dx, dy] = minus(to, centre);
	const degrees = (Math.atan2(dx, -dy) * 180) / Math.PI;
	const angle = keep ? Math.round(degrees / 45) * 45 : hundredths(degrees);
	return (angle + 360) % 360;
}
