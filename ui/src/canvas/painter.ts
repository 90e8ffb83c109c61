/** Keeps the three layers as they should be: photo, settled shapes, live. Draws only when something has changed. */

import { grown, type Rect, type Size } from "../document/rect";
import type { AnnotationId, AnnotationView } from "../wire.gen";
import { Inks } from "./ink";
import { LiveLayer, type LiveScene } from "./live-layer";
import type { Photo } from "./photo";
import { SettledLayer } from "./settled-layer";
import { BLEED, paintSettled } from "./settled-look";
import { Slices } from "./slices";
import { onDevice, sameView, type View } from "./viewport";

/** While the view moves, what is left of a frame after the layers are painted. */
const SLICE_MOVING_MS = 4;
/** While it rests: input that comes meanwhile is still shown within two frames. */
const SLICE_RESTING_MS = 10;
const RESTING_AFTER_MS = 40;

export interface Layers {
	photo: HTMLCanvasElement;
	settled: HTMLCanvasElement;
	live: HTMLCanvasElement;
}

export interface Scene {
	within(area: Rect): readonly AnnotationView[];
	countWithin(area: Rect): number;
	/** Shapes that are in hand; they are drawn live, not where they were. */
	isInHand(id: AnnotationId): boolean;
	live(): Omit<LiveScene, "inks" | "late">;
	get(id: AnnotationId): AnnotationView | undefined;
}

export class Painter {
	inks = new Inks();
	photo: Photo | null = null;
	readonly #photo: CanvasRenderingContext2D;
	readonly #shapes: CanvasRenderingContext2D;
	readonly #live: LiveLayer;
	readonly #settled: SettledLayer;
	readonly #slices: Slices;
	/** In the screen's own pixels. */
	#view: View = { scale: 1, x: 0, y: 0 };
	#ratio = 1;
	#changed: { id: AnnotationId; area: Rect }[] = [];
	readonly #late = new Set<AnnotationId>();
	#frame = 0;
	#viewMoved = true;
	#movedAt = -Infinity;

	constructor(
		private readonly layers: Layers,
		private readonly scene: Scene,
	) {
		this.#photo = contextOf(layers.photo);
		this.#shapes = contextOf(layers.settled);
		this.#live = new LiveLayer(contextOf(layers.live));
		this.#settled = new SettledLayer({
			shapesToPaint: (area) => scene.within(grown(area, BLEED * this.#pixel)).filter(({ id }) => !scene.isInHand(id)),
			countToPaint: (area) => scene.countWithin(area),
			paint: (context, shape, { scale }, crowded) =>
				paintSettled(context, shape, { inks: this.inks, pixel: this.#ratio / scale, ratio: this.#ratio, crowded }),
		});
		this.#slices = new Slices((now) => this.#work(now));
	}

	/** All shapes are drawn as they are, at the present zoom. */
	get sharp(): boolean {
		return this.#changed.length === 0 && this.#settled.sharp;
	}

	resize(screen: Size, ratio: number): void {
		this.#ratio = ratio;
		const [width, height] = [Math.round(screen.width * ratio), Math.round(screen.height * ratio)];
		for (const canvas of Object.values(this.layers) as HTMLCanvasElement[]) {
			canvas.width = width;
			canvas.height = height;
		}
		this.#settled.resize({ width, height });
		this.#viewMoved = true;
		// A canvas that was just resized is empty: not a frame later than the resize is it drawn again.
		this.#paint();
		this.#slices.wake();
	}

	turnTo(view: View): void {
		const turned = onDevice(view, this.#ratio);
		if (sameView(turned, this.#view)) return;
		this.#view = turned;
		this.#movedAt = performance.now();
		this.#settled.turnTo(turned, this.#movedAt);
		this.#viewMoved = true;
		this.#slices.wake();
		this.touch();
	}

	/** Another picture, with other shapes. */
	restart(picture: Size): void {
		this.#changed = [];
		this.#late.clear();
		this.#settled.restart(picture);
		this.#viewMoved = true;
		this.#slices.wake();
		this.touch();
	}

	restyle(inks: Inks): void {
		this.inks = inks;
		this.refreshAll();
	}

	refreshAll(): void {
		this.#settled.refreshAll();
		this.#slices.wake();
		this.touch();
	}

	show(photo: Photo | null): void {
		this.photo = photo;
		this.#viewMoved = true;
		this.touch();
	}

	/** A settled shape has changed within `area` of the picture. */
	refresh(id: AnnotationId, area: Rect): void {
		this.#changed.push({ id, area });
		this.touch();
	}

	/** The live layer may have changed. */
	touch(): void {
		this.#frame ||= requestAnimationFrame(() => this.#paint());
	}

	stop(): void {
		cancelAnimationFrame(this.#frame);
		this.#slices.stop();
	}

	#paint(): void {
		cancelAnimationFrame(this.#frame);
		this.#frame = 0;
		this.#takeInChanges();
		if (this.#viewMoved) this.#paintPhoto();
		this.#viewMoved = false;
		if (this.#settled.outdated) this.#settled.paint(this.#shapes);
		const late = [...this.#late].flatMap((id) => (this.scene.isInHand(id) ? [] : (this.scene.get(id) ?? [])));
		this.#live.paint({ ...this.scene.live(), inks: this.inks, late }, this.#view, this.#ratio);
	}

	#paintPhoto(): void {
		const { width, height } = this.layers.photo;
		this.#photo.clearRect(0, 0, width, height);
		this.photo?.paint(this.#photo, this.#view);
	}

	#takeInChanges(): void {
		for (const { id, area } of this.#changed) {
			if (!this.#settled.refresh(grown(area, BLEED * this.#pixel))) this.#late.add(id);
		}
		if (this.#changed.length > 0) this.#slices.wake();
		this.#changed = [];
	}

	#work(now: number): number | null {
		const slice = now - this.#movedAt < RESTING_AFTER_MS ? SLICE_MOVING_MS : SLICE_RESTING_MS;
		const again = this.#settled.work(now, now + slice);
		if (this.#settled.sharp) this.#late.clear();
		if (this.#settled.outdated) this.touch();
		return again;
	}

	/** A CSS pixel's size on the picture. */
	get #pixel(): number {
		return this.#ratio / this.#view.scale;
	}
}

function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
	const context = canvas.getContext("2d");
	if (!context) throw new Error("a canvas without a 2D context");
	return context;
}
