/** The view and what may move it. Until someone has moved it, it keeps the whole picture in sight. */

import type { Point } from "../document/point";
import type { Size } from "../document/rect";
import { actualSize, fitted, panned, rescreened, toPicture, type View, zoomedBy } from "./viewport";

const STEP = 1.25;

export class Camera {
	#view: View = { scale: 1, x: 0, y: 0 };
	#screen: Size = { width: 0, height: 0 };
	#picture: Size = { width: 1, height: 1 };
	#fits = true;

	constructor(private readonly onmove: (view: View) => void) {}

	get view(): View {
		return this.#view;
	}

	get screen(): Size {
		return this.#screen;
	}

	get picture(): Size {
		return this.#picture;
	}

	/** The size of a screen pixel on the picture. */
	get pixel(): number {
		return 1 / this.#view.scale;
	}

	at(place: Point): Point {
		return toPicture(this.#view, place);
	}

	show(picture: Size): void {
		this.#picture = picture;
		this.fit();
	}

	resize(screen: Size): void {
		const before = this.#screen;
		this.#screen = screen;
		if (this.#fits) this.fit();
		else this.#move(rescreened(this.#view, this.#picture, before, screen));
	}

	fit(): void {
		this.#fits = true;
		this.#move(fitted(this.#picture, this.#screen));
	}

	actualSize(): void {
		this.#fits = false;
		this.#move(actualSize(this.#view, this.#picture, this.#screen));
	}

	zoomIn(): void {
		this.zoom(STEP);
	}

	zoomOut(): void {
		this.zoom(1 / STEP);
	}

	zoom(factor: number, at: Point = [this.#screen.width / 2, this.#screen.height / 2]): void {
		this.#fits = false;
		this.#move(zoomedBy(this.#view, factor, at, this.#picture, this.#screen));
	}

	pan(by: Point): void {
		this.#fits = false;
		this.#move(panned(this.#view, by, this.#picture, this.#screen));
	}

	#move(view: View): void {
		this.#view = view;
		this.onmove(view);
	}
}
