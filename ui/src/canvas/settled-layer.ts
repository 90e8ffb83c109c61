/**
 * The shapes that nobody has in hand, as a raster somewhat larger than the screen. While the view moves the raster is
 * shown shifted and scaled, which costs the same for one shape and for a hundred thousand; once the view rests it is
 * drawn anew, the visible part first.
 *
 * **Invariant:** what is on the screen is never emptied to be drawn again; a new raster takes the old one's place when its
 * visible part is finished.
 */

import { encloses, overlap, type Rect, type Size } from "../document/rect";
import { around, Raster, type ShapeSource } from "./raster";
import { CROWD } from "./settled-look";
import type { View } from "./viewport";

/** How far the raster goes beyond the screen on each side, in its own pixels: a flick's worth of panning. */
const MARGIN = 256;
/** After this long without another step of the wheel the zoom has come to rest, in ms. */
const REST_MS = 40;
/** So many shapes are drawn again within a frame, without a second raster. */
const AT_ONCE = 300;
/** The longer side of the overview, in its own pixels. */
const OVERVIEW = 1024;

export class SettledLayer {
	#front: Raster;
	#back: Raster;
	/** The whole picture, coarse: shown where the front does not reach while one zooms out. */
	readonly #overview: Raster;
	#view: View = { scale: 1, x: 0, y: 0 };
	#screen: Size = { width: 0, height: 0 };
	#movedAt = -Infinity;
	#rebuilding = false;
	/** The front shows something that is no longer so. */
	#stale = true;

	constructor(private readonly source: ShapeSource) {
		this.#front = new Raster(source);
		this.#back = new Raster(source);
		this.#overview = new Raster(source);
	}

	/** There is something to show that the screen does not show yet. */
	outdated = true;

	/** Everything on the screen is as it is and sharp. */
	get sharp(): boolean {
		const front = this.#front;
		if (this.#stale || this.#rebuilding || front.frame.scale !== this.#view.scale) return false;
		const [dx, dy] = [front.frame.x - this.#view.x, front.frame.y - this.#view.y];
		return front.finishedIn({ left: dx, top: dy, right: dx + this.#screen.width, bottom: dy + this.#screen.height });
	}

	/** Nothing of what was there holds any longer. */
	restart(picture: Size): void {
		const scale = OVERVIEW / Math.max(picture.width, picture.height);
		const size = { width: Math.ceil(picture.width * scale), height: Math.ceil(picture.height * scale) };
		const whole = { left: 0, top: 0, right: size.width, bottom: size.height };
		this.#overview.restart({ scale, x: 0, y: 0 }, size, [whole], true);
		this.#front.restart(this.#front.frame, { width: 0, height: 0 }, [], false);
		this.#stale = true;
		this.#rebuilding = false;
		this.#movedAt = -Infinity;
		this.outdated = true;
	}

	/** In the screen's own pixels. */
	resize(screen: Size): void {
		this.#screen = screen;
		this.outdated = true;
		this.#stale = true;
		this.#rebuilding = false;
	}

	turnTo(view: View, now: number): void {
		if (view.scale !== this.#view.scale) this.#movedAt = now;
		this.outdated = true;
		this.#view = view;
	}

	/** Colours or the like have changed. */
	refreshAll(): void {
		this.#stale = true;
		this.#rebuilding = false;
		this.#overview.redrawLater(this.#overviewOnPicture());
	}

	/** Something in an area of the picture has changed. False: it is too much for now and shows when it is ready. */
	refresh(area: Rect): boolean {
		this.#overview.redrawLater(area);
		if (this.#rebuilding) this.#rebuilding = false;
		if (this.#stale) return false;
		if (this.source.countToPaint(area) > AT_ONCE) {
			this.#stale = true;
			return false;
		}
		this.#front.redraw(area);
		this.outdated = true;
		return true;
	}

	/** Draws on until `until`. Says after how many ms there is more to do; `null`: all is done. */
	work(now: number, until: number): number | null {
		if (this.#screen.width === 0) return null;
		const rest = this.#movedAt + REST_MS - now;
		const front = this.#front;
		const zoomed = front.frame.scale !== this.#view.scale;
		if (zoomed && rest > 0) return rest;
		if (this.#stale || zoomed || !this.#overlapsScreen()) this.#rebuild(until);
		else if (this.#nearEdge()) this.#shift();
		else if (!front.finished) this.#go(front, until);
		else if (!this.#overview.finished) this.#go(this.#overview, until);
		return this.sharp && front.finished && this.#overview.finished && !this.#nearEdge() ? null : 0;
	}

	paint(context: CanvasRenderingContext2D): void {
		this.outdated = false;
		const { width, height } = this.#screen;
		context.setTransform(1, 0, 0, 1, 0, 0);
		context.clearRect(0, 0, width, height);
		const front = this.#place(this.#front);
		const screen = { left: 0, top: 0, right: width, bottom: height };
		const overview = this.#place(this.#overview);
		const visible = {
			left: Math.max(screen.left, overview.left),
			top: Math.max(screen.top, overview.top),
			right: Math.min(screen.right, overview.right),
			bottom: Math.min(screen.bottom, overview.bottom),
		};
		if (!encloses(front, visible)) {
			context.save();
			context.beginPath();
			for (const { left, top, right, bottom } of around(front, screen)) {
				context.rect(left, top, right - left, bottom - top);
			}
			context.clip();
			draw(context, this.#overview, overview);
			context.restore();
		}
		if (overlap(front, screen)) draw(context, this.#front, front);
	}

	#rebuild(until: number): void {
		const { width, height } = this.#screen;
		const [x, y] = [this.#view.x + MARGIN, this.#view.y + MARGIN];
		const frame = { scale: this.#view.scale, x, y };
		const back = this.#back;
		// Panning meanwhile does not matter: the margin takes it in.
		if (!this.#rebuilding || back.frame.scale !== frame.scale || !this.#overlapsScreen(back)) {
			const size = { width: width + 2 * MARGIN, height: height + 2 * MARGIN };
			const whole = { left: 0, top: 0, right: size.width, bottom: size.height };
			const visible = { left: MARGIN, top: MARGIN, right: MARGIN + width, bottom: MARGIN + height };
			const { scale } = frame;
			const inSight = {
				left: -x / scale,
				top: -y / scale,
				right: (size.width - x) / scale,
				bottom: (size.height - y) / scale,
			};
			const crowded = this.source.countToPaint(inSight) > CROWD;
			back.restart(frame, size, [visible, ...around(visible, whole)], crowded);
			this.#rebuilding = true;
		}
		if (!back.work(until, true)) return;
		this.outdated = true;
		[this.#front, this.#back] = [back, this.#front];
		this.#rebuilding = false;
		this.#stale = false;
	}

	#go(raster: Raster, until: number): void {
		raster.work(until);
		this.outdated = true;
	}

	#shift(): void {
		this.outdated = true;
		this.#back.restartShifted(this.#front, { ...this.#view, x: this.#view.x + MARGIN, y: this.#view.y + MARGIN });
		[this.#front, this.#back] = [this.#back, this.#front];
	}

	/** Where a raster is on the screen. */
	#place(raster: Raster): Rect {
		const factor = this.#view.scale / raster.frame.scale;
		const [left, top] = [this.#view.x - raster.frame.x * factor, this.#view.y - raster.frame.y * factor];
		return { left, top, right: left + raster.size.width * factor, bottom: top + raster.size.height * factor };
	}

	#overlapsScreen(raster = this.#front): boolean {
		return overlap(this.#place(raster), { left: 0, top: 0, right: this.#screen.width, bottom: this.#screen.height });
	}

	#nearEdge(): boolean {
		const { x, y } = this.#front.frame;
		const away = Math.max(Math.abs(this.#view.x + MARGIN - x), Math.abs(this.#view.y + MARGIN - y));
		return away > MARGIN * 0.75;
	}

	#overviewOnPicture(): Rect {
		const { scale } = this.#overview.frame;
		const { width, height } = this.#overview.size;
		return { left: 0, top: 0, right: width / scale, bottom: height / scale };
	}
}

function draw(context: CanvasRenderingContext2D, raster: Raster, place: Rect): void {
	if (raster.size.width === 0) return;
	context.drawImage(raster.canvas, place.left, place.top, place.right - place.left, place.bottom - place.top);
}
