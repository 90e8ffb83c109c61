/** A canvas off the screen on which shapes are drawn an area after the other, each in slices. */

import { heightOf, type Rect, type Size, widthOf } from "../document/rect";
import type { AnnotationView } from "../wire.gen";
import type { View } from "./viewport";

export interface ShapeSource {
	/** What is to be drawn in an area of the picture, in drawing order. */
	shapesToPaint(area: Rect): readonly AnnotationView[];
	/** About how many those are. */
	countToPaint(area: Rect): number;
	paint(context: CanvasRenderingContext2D, shape: AnnotationView, frame: View, crowded: boolean): void;
}

interface Job {
	area: Rect;
	shapes: readonly AnnotationView[];
	next: number;
}

/** Looking at the clock costs about as much as a small shape. */
const SHAPES_PER_GLANCE = 16;

export class Raster {
	readonly canvas = document.createElement("canvas");
	/** From the picture to this canvas's pixels. */
	frame: View = { scale: 1, x: 0, y: 0 };
	crowded = false;
	readonly #context: CanvasRenderingContext2D;
	/** Areas in this canvas's pixels that are still to be drawn, the most wanted first. */
	#todo: Rect[] = [];
	#job: Job | null = null;

	constructor(private readonly source: ShapeSource) {
		const context = this.canvas.getContext("2d");
		if (!context) throw new Error("a canvas without a 2D context");
		this.#context = context;
	}

	get size(): Size {
		return this.canvas;
	}

	get whole(): Rect {
		return { left: 0, top: 0, right: this.canvas.width, bottom: this.canvas.height };
	}

	get finished(): boolean {
		return !this.#job && this.#todo.length === 0;
	}

	/** Nothing in `area`, in this canvas's pixels, is missing. */
	finishedIn(area: Rect): boolean {
		const unfinished = this.#job ? [this.#job.area, ...this.#todo] : this.#todo;
		return !unfinished.some((piece) => touching(piece, area));
	}

	/** Starts anew: empty, and all of it to do. */
	restart(frame: View, size: Size, order: readonly Rect[], crowded: boolean): void {
		this.#empty(size);
		this.frame = frame;
		this.crowded = crowded;
		this.#todo = [...order];
	}

	/** Takes over from `other` what it has at another place of the same scale. */
	restartShifted(other: Raster, frame: View): void {
		const [dx, dy] = [frame.x - other.frame.x, frame.y - other.frame.y];
		this.#empty(other.size);
		this.frame = frame;
		this.crowded = other.crowded;
		this.#context.drawImage(other.canvas, dx, dy);
		const shifted = (area: Rect): Rect => ({
			left: area.left + dx,
			right: area.right + dx,
			top: area.top + dy,
			bottom: area.bottom + dy,
		});
		const unfinished = other.#job ? [other.#job.area, ...other.#todo] : other.#todo;
		const kept = shifted(this.whole);
		this.#todo = [...around(kept, this.whole), ...unfinished.map(shifted).filter((area) => touching(area, this.whole))];
	}

	/** Draws an area of the picture again, now. */
	redraw(area: Rect): void {
		const pixels = this.#pixels(area);
		if (!touching(pixels, this.whole)) return;
		this.#forgetJobOver(pixels);
		const job = this.#begin(pixels);
		this.#advance(job, Infinity);
	}

	/** Draws an area of the picture again when its turn comes. */
	redrawLater(area: Rect): void {
		const pixels = this.#pixels(area);
		if (!touching(pixels, this.whole)) return;
		this.#forgetJobOver(pixels);
		this.#todo.push(pixels);
	}

	/** Goes on until `until`, and no further than the first area when `one` is set. Whether an area was finished. */
	work(until: number, one = false): boolean {
		let finished = false;
		do {
			this.#job ??= this.#next();
			if (!this.#job) break;
			this.#advance(this.#job, until);
			if (this.#job.next < this.#job.shapes.length) break;
			this.#job = null;
			finished = true;
		} while (!one && performance.now() < until);
		return finished;
	}

	#next(): Job | null {
		const area = this.#todo.shift();
		return area ? this.#begin(area) : null;
	}

	#begin(area: Rect): Job {
		this.#context.setTransform(1, 0, 0, 1, 0, 0);
		this.#context.clearRect(area.left, area.top, widthOf(area), heightOf(area));
		return { area, shapes: this.source.shapesToPaint(this.#onPicture(area)), next: 0 };
	}

	#advance(job: Job, until: number): void {
		const context = this.#context;
		const { scale, x, y } = this.frame;
		context.save();
		context.setTransform(1, 0, 0, 1, 0, 0);
		context.beginPath();
		context.rect(job.area.left, job.area.top, widthOf(job.area), heightOf(job.area));
		context.clip();
		context.setTransform(scale, 0, 0, scale, x, y);
		while (job.next < job.shapes.length) {
			this.source.paint(context, job.shapes[job.next] as AnnotationView, this.frame, this.crowded);
			job.next += 1;
			if (job.next % SHAPES_PER_GLANCE === 0 && performance.now() >= until) break;
		}
		context.restore();
	}

	/** What it has gathered may no longer be so. */
	#forgetJobOver(pixels: Rect): void {
		if (!this.#job || !touching(this.#job.area, pixels)) return;
		this.#todo.unshift(this.#job.area);
		this.#job = null;
	}

	/** Whole pixels around an area of the picture. */
	#pixels(area: Rect): Rect {
		const { scale, x, y } = this.frame;
		return {
			left: Math.floor(area.left * scale + x),
			top: Math.floor(area.top * scale + y),
			right: Math.ceil(area.right * scale + x),
			bottom: Math.ceil(area.bottom * scale + y),
		};
	}

	#onPicture(pixels: Rect): Rect {
		const { scale, x, y } = this.frame;
		return {
			left: (pixels.left - x) / scale,
			top: (pixels.top - y) / scale,
			right: (pixels.right - x) / scale,
			bottom: (pixels.bottom - y) / scale,
		};
	}

	#empty({ width, height }: Size): void {
		this.#job = null;
		if (this.canvas.width !== width || this.canvas.height !== height) {
			this.canvas.width = width;
			this.canvas.height = height;
			return;
		}
		this.#context.setTransform(1, 0, 0, 1, 0, 0);
		this.#context.clearRect(0, 0, width, height);
	}
}

/** They share pixels, not merely an edge. */
const touching = (a: Rect, b: Rect): boolean =>
	a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** What of `outer` is not in `inner`, in at most four pieces. */
export function around(inner: Rect, outer: Rect): Rect[] {
	const left = Math.min(Math.max(inner.left, outer.left), outer.right);
	const right = Math.max(Math.min(inner.right, outer.right), left);
	const top = Math.min(Math.max(inner.top, outer.top), outer.bottom);
	const bottom = Math.max(Math.min(inner.bottom, outer.bottom), top);
	return [
		{ ...outer, bottom: top },
		{ left: outer.left, right: left, top, bottom },
		{ left: right, right: outer.right, top, bottom },
		{ ...outer, top: bottom },
	].filter((piece) => piece.right > piece.left && piece.bottom > piece.top);
}
