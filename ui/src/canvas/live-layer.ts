/** What changes under the hand: selection, handles, the shape being drawn or dragged. Few shapes, drawn each frame. */

import { type Handle, handles } from "../document/geometry";
import type { Point } from "../document/point";
import { rectAround } from "../document/rect";
import type { InHand, Sketch } from "../tools/preview";
import type { AnnotationView } from "../wire.gen";
import { CASING, type Ink, type Inks } from "./ink";
import { type Brush, paintSettled } from "./settled-look";
import { isFilled, trace, traceDot, traceLine } from "./trace";
import type { View } from "./viewport";

export interface LiveScene {
	inks: Inks;
	hovered: AnnotationView | null;
	selected: readonly AnnotationView[];
	/** Settled shapes that the raster below does not show yet as they are. */
	late: readonly AnnotationView[];
	inHand: readonly InHand[];
	/** The one whose handles show. */
	reshapable: Pick<AnnotationView, "geometry"> | null;
	sketch: Sketch | null;
	marquee: readonly [Point, Point] | null;
}

const HANDLE_SIZE = 9;
const VERTEX_RADIUS = 4.5;
const HANDLE_EDGE = "#14304f";
const MARQUEE = "#2f7df6";

export class LiveLayer {
	#view: View = { scale: 1, x: 0, y: 0 };
	#ratio = 1;

	constructor(private readonly context: CanvasRenderingContext2D) {}

	paint(scene: LiveScene, view: View, ratio: number): void {
		const { context } = this;
		[this.#view, this.#ratio] = [view, ratio];
		context.setTransform(1, 0, 0, 1, 0, 0);
		context.clearRect(0, 0, context.canvas.width, context.canvas.height);
		context.setTransform(view.scale, 0, 0, view.scale, view.x, view.y);
		context.lineJoin = "round";
		const brush: Brush = { inks: scene.inks, pixel: this.#pixel, ratio, crowded: false };
		for (const shape of scene.late) paintSettled(context, shape, brush);
		if (scene.hovered) this.#outline(scene.hovered, scene.inks, 3);
		for (const shape of scene.selected) this.#strong(shape, scene.inks);
		for (const shape of scene.inHand) this.#strong(shape, scene.inks);
		if (scene.sketch) this.#sketch(scene.sketch, scene.inks.of(scene.sketch.label_id));
		if (scene.reshapable) this.#handles(handles(scene.reshapable.geometry, this.#pixel));
		if (scene.marquee) this.#marquee(scene.marquee);
	}

	/** A screen pixel's size on the picture. */
	get #pixel(): number {
		return this.#ratio / this.#view.scale;
	}

	#outline({ geometry, label_id }: InHand, inks: Inks, width: number): void {
		const { context } = this;
		context.beginPath();
		trace(context, geometry, this.#pixel);
		this.#stroke("white", width + 2);
		this.#stroke(inks.of(label_id).line, width);
	}

	#strong(shape: InHand, inks: Inks): void {
		const { context } = this;
		context.beginPath();
		trace(context, shape.geometry, this.#pixel);
		if (isFilled(shape.geometry)) {
			context.fillStyle = inks.of(shape.label_id).strongFill;
			context.fill("evenodd");
		}
		this.#stroke(CASING, 5.5);
		this.#stroke("white", 4.5);
		this.#stroke(inks.of(shape.label_id).line, 2.5);
	}

	#sketch({ points, next, closes }: Sketch, ink: Ink): void {
		const { context } = this;
		const line = next && !closes ? [...points, next] : [...points];
		context.beginPath();
		traceLine(context, line, true);
		context.fillStyle = ink.fill;
		context.fill("evenodd");
		context.beginPath();
		traceLine(context, line, closes);
		this.#stroke(CASING, 4);
		this.#stroke(ink.line, 2);
		const [first, last] = [line[0], line.at(-1)];
		if (line.length > 2 && !closes && first && last) {
			context.beginPath();
			traceLine(context, [last, first], false);
			context.setLineDash([5 * this.#pixel, 5 * this.#pixel]);
			this.#stroke(ink.line, 1.5);
			context.setLineDash([]);
		}
		for (const [index, point] of points.entries()) this.#dot(point, closes && index === 0 ? 7 : 4, ink.line);
	}

	#handles(all: readonly Handle[]): void {
		const [top, rotate] = [all.find(({ role }) => role === "side"), all.find(({ role }) => role === "rotate")];
		if (top && rotate) {
			this.context.beginPath();
			traceLine(this.context, [top.at, rotate.at], false);
			this.#stroke("white", 3);
			this.#stroke(HANDLE_EDGE, 1.25);
		}
		for (const { at, role } of all) {
			if (role === "corner" || role === "side") this.#square(at);
			else this.#dot(at, VERTEX_RADIUS, HANDLE_EDGE);
		}
	}

	#dot(at: Point, radius: number, edge: string): void {
		const { context } = this;
		context.beginPath();
		traceDot(context, at, radius * this.#pixel);
		context.fillStyle = "white";
		context.fill();
		this.#stroke(edge, 1.5);
	}

	/** On whole screen pixels: a square shows a blur that a dot hides. */
	#square([x, y]: Point): void {
		const { context } = this;
		const { scale, x: dx, y: dy } = this.#view;
		const size = Math.round(HANDLE_SIZE * this.#ratio);
		const edge = Math.max(1, Math.round(1.25 * this.#ratio));
		const [left, top] = [Math.round(x * scale + dx - size / 2), Math.round(y * scale + dy - size / 2)];
		context.save();
		context.setTransform(1, 0, 0, 1, left, top);
		context.fillStyle = HANDLE_EDGE;
		context.fillRect(0, 0, size, size);
		context.fillStyle = "white";
		context.fillRect(edge, edge, size - 2 * edge, size - 2 * edge);
		context.restore();
	}

	#marquee(corners: readonly [Point, Point]): void {
		const { context } = this;
		const { left, top, right, bottom } = rectAround(corners);
		context.beginPath();
		context.rect(left, top, right - left, bottom - top);
		context.fillStyle = `${MARQUEE}22`;
		context.fill();
		this.#stroke("white", 2.5);
		this.#stroke(MARQUEE, 1.25);
	}

	#stroke(color: string, width: number): void {
		this.context.lineWidth = width * this.#pixel;
		this.context.strokeStyle = color;
		this.context.stroke();
	}
}
