/** How a shape looks that nobody has in hand. */

import { bounds } from "../document/geometry";
import type { AnnotationView } from "../wire.gen";
import { CASING, type Inks } from "./ink";
import { BADGE_REACH, DASHES, paintBadge } from "./marks";
import { isFilled, trace } from "./trace";

/** How far a shape's paint reaches beyond its bounds, in screen pixels. */
export const BLEED = BADGE_REACH + 2;

/**
 * Among thousands lines are one device pixel thin: easier to tell apart, and a third of the cost, since nothing needs to
 * be widened into an outline of its own.
 */
export const CROWD = 2500;

export interface Brush {
	inks: Inks;
	/** A screen pixel's size on the picture. */
	pixel: number;
	/** Screen pixels to a CSS pixel. */
	ratio: number;
	crowded: boolean;
}

/** Expects the context to map from the picture. */
export function paintSettled(context: CanvasRenderingContext2D, shape: AnnotationView, brush: Brush): void {
	const { pixel, ratio, crowded } = brush;
	const ink = brush.inks.of(shape.label_id);
	context.beginPath();
	trace(context, shape.geometry, pixel);
	if (isFilled(shape.geometry)) {
		context.fillStyle = ink.fill;
		context.fill("evenodd");
	}
	if (crowded) {
		context.lineWidth = pixel / ratio;
	} else {
		context.lineWidth = 3.5 * pixel;
		context.strokeStyle = CASING;
		context.stroke();
		context.lineWidth = 2 * pixel;
	}
	const marked = shape.sync !== "synced";
	if (marked) context.setLineDash(DASHES.map((dash) => dash * pixel));
	context.strokeStyle = ink.line;
	context.stroke();
	if (marked) {
		context.setLineDash([]);
		const place = bounds(shape.geometry);
		if (place) paintBadge(context, shape.sync, place, pixel);
	}
}
