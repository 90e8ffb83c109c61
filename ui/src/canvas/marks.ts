/** What a shape shows of its way to the server: a badge at its corner, told apart by form as well as by colour. */

import type { Point } from "../document/point";
import type { Rect } from "../document/rect";
import type { AnnotationSync } from "../wire.gen";

interface Mark {
	fill: string;
	/** The badge's sign, as strokes within a square from -1 to 1. */
	sign: readonly (readonly Point[])[];
}

const MARKS: Record<Exclude<AnnotationSync, "synced">, Mark> = {
	unsent: {
		fill: "#3b6fd4",
		sign: [
			[
				[0, 0.9],
				[0, -0.9],
			],
			[
				[-0.7, -0.2],
				[0, -0.9],
				[0.7, -0.2],
			],
		],
	},
	conflict: {
		fill: "#b45309",
		sign: [
			[
				[0, -0.95],
				[0, 0.25],
			],
			[
				[0, 0.8],
				[0, 0.95],
			],
		],
	},
	refused: {
		fill: "#b3261e",
		sign: [
			[
				[-0.7, -0.7],
				[0.7, 0.7],
			],
			[
				[0.7, -0.7],
				[-0.7, 0.7],
			],
		],
	},
};

/** Screen pixels. */
const RADIUS = 7;
/** How far the badge stands off its corner each way: a handle may sit there. */
const STAND_OFF = 9;

export const BADGE_REACH = RADIUS + STAND_OFF;

/** Dashes of a shape that the server does not have as it stands here. */
export const DASHES = [6, 4] as const;

/** Draws the badge of `sync` off the top right corner of `place`. `pixel` is a screen pixel's size in the path's units. */
export function paintBadge(context: CanvasRenderingContext2D, sync: AnnotationSync, place: Rect, pixel: number): void {
	if (sync === "synced") return;
	const { fill, sign } = MARKS[sync];
	const [x, y] = [place.right + STAND_OFF * pixel, place.top - STAND_OFF * pixel];
	context.beginPath();
	context.arc(x, y, RADIUS * pixel, 0, 2 * Math.PI);
	context.fillStyle = fill;
	context.fill();
	context.strokeStyle = "white";
	context.lineWidth = 1.5 * pixel;
	context.stroke();
	context.lineCap = "round";
	context.beginPath();
	const arm = 3.6 * pixel;
	for (const line of sign) {
		for (const [index, [dx, dy]] of line.entries()) {
			if (index === 0) context.moveTo(x + dx * arm, y + dy * arm);
			else context.lineTo(x + dx * arm, y + dy * arm);
		}
	}
	context.stroke();
	context.lineCap = "butt";
}
