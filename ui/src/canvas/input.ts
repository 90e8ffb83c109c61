/** From the browser's pointer, wheel and keys to the hand and the camera. */

import type { Point } from "../document/point";
import type { Pointer } from "../tools/editor";
import type { Stage } from "./stage";

const PRIMARY = 0;
const MIDDLE = 1;

export class Input {
	/** Where the pointer was last, while it pulls the picture along. */
	#panning: Point | null = null;
	#spaceHeld = false;

	constructor(
		private readonly stage: Stage,
		private readonly element: HTMLElement,
		private readonly oncursor: (cursor: string | null) => void,
	) {}

	pointerDown(event: PointerEvent): void {
		if (event.button !== PRIMARY && event.button !== MIDDLE) return;
		this.element.setPointerCapture(event.pointerId);
		if (event.button === MIDDLE || this.#spaceHeld) {
			event.preventDefault();
			this.#panning = this.#place(event);
			this.oncursor("grabbing");
		} else {
			this.stage.hand.down(this.#pointer(event));
		}
	}

	pointerMove(event: PointerEvent): void {
		if (!this.#panning) {
			this.stage.hand.move(this.#pointer(event));
			return;
		}
		const now = this.#place(event);
		this.stage.camera.pan([now[0] - this.#panning[0], now[1] - this.#panning[1]]);
		this.#panning = now;
	}

	pointerUp(event: PointerEvent): void {
		if (this.#panning) this.#letGo();
		else if (event.button === PRIMARY) this.stage.hand.up(this.#pointer(event));
	}

	/** The system took the pointer away: nobody let go of anything. */
	pointerCancel(): void {
		if (this.#panning) this.#letGo();
		else this.stage.hand.cancel();
	}

	doubleClick(event: MouseEvent): void {
		this.stage.hand.doubleClick(this.#pointer(event));
	}

	wheel(event: WheelEvent): void {
		event.preventDefault();
		const [dx, dy] = inPixels(event);
		if (event.ctrlKey) {
			// A pinch arrives as a wheel with Ctrl and small steps.
			this.stage.camera.zoom(Math.exp(-clamp(dy, 100) * 0.01), this.#place(event));
		} else if (event.shiftKey) {
			this.stage.camera.pan([-(dx || dy), 0]);
		} else if (isTouchpad(event)) {
			this.stage.camera.pan([-dx, -dy]);
		} else {
			this.stage.camera.zoom(Math.exp(-clamp(dy, 240) * 0.002), this.#place(event));
		}
	}

	/** Whether the key meant anything here. */
	keyDown(event: KeyboardEvent): boolean {
		if (event.ctrlKey || event.metaKey || event.altKey) return false;
		if (event.key !== " ") return this.stage.hand.key(event.key);
		if (this.#elsewhere(event.target)) return false;
		this.#spaceHeld = true;
		if (!this.#panning) this.oncursor("grab");
		return true;
	}

	keyUp(event: KeyboardEvent): void {
		if (event.key === " ") this.releaseSpace();
	}

	/** Also when the window loses the keyboard: nobody will say that the key went up. */
	releaseSpace(): void {
		this.#spaceHeld = false;
		if (!this.#panning) this.oncursor(null);
	}

	/** Someone works by keyboard on another control, and Space is what presses it. */
	#elsewhere(target: EventTarget | null): boolean {
		return target instanceof Element && target !== this.element && target.matches(":focus-visible");
	}

	#letGo(): void {
		this.#panning = null;
		this.oncursor(this.#spaceHeld ? "grab" : null);
	}

	#place(event: MouseEvent): Point {
		const { left, top } = this.element.getBoundingClientRect();
		return [event.clientX - left - this.element.clientLeft, event.clientY - top - this.element.clientTop];
	}

	#pointer(event: MouseEvent): Pointer {
		return { at: this.stage.camera.at(this.#place(event)), shift: event.shiftKey, alt: event.altKey };
	}
}

function inPixels(event: WheelEvent): Point {
	const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 40 : 1;
	return [event.deltaX * unit, event.deltaY * unit];
}

/** Two fingers also go sideways and by little; a wheel goes up and down in notches. */
const isTouchpad = (event: WheelEvent): boolean =>
	event.deltaMode === WheelEvent.DOM_DELTA_PIXEL && (event.deltaX !== 0 || Math.abs(event.deltaY) < 16);

const clamp = (value: number, most: number): number => Math.max(-most, Math.min(most, value));
