/** The picture under the shapes. Shown small it is drawn from a smaller copy, which is quicker and has no moiré. */

import type { Size } from "../document/rect";
import type { View } from "./viewport";

/** From here on, in screen pixels, a pixel of the picture is meant to be seen as one. */
const PIXELS_SHOW = 3;

export class Photo {
	/** Each half as large as the one before. */
	readonly #copies: [HTMLImageElement, ...HTMLCanvasElement[]];

	constructor(
		image: HTMLImageElement,
		/** What the shapes are measured in; the image may have another number of pixels. */
		private readonly picture: Size,
	) {
		this.#copies = [image];
	}

	paint(context: CanvasRenderingContext2D, view: View): void {
		const { width, height } = this.picture;
		const copy = this.#copyFor((view.scale * width) / this.#copies[0].width);
		context.imageSmoothingEnabled = view.scale < PIXELS_SHOW;
		context.drawImage(copy, view.x, view.y, width * view.scale, height * view.scale);
	}

	/** The smallest copy that need not be enlarged. */
	#copyFor(scale: number): CanvasImageSource {
		const halvings = Math.max(0, Math.floor(Math.log2(1 / scale)));
		while (this.#copies.length <= halvings) {
			const last = this.#copies.at(-1) as HTMLImageElement | HTMLCanvasElement;
			if (last.width < 2 || last.height < 2) break;
			this.#copies.push(halved(last));
		}
		return this.#copies[Math.min(halvings, this.#copies.length - 1)] as CanvasImageSource;
	}
}

function halved(image: HTMLImageElement | HTMLCanvasElement): HTMLCanvasElement {
	const canvas = document.createElement("canvas");
	canvas.width = Math.ceil(image.width / 2);
	canvas.height = Math.ceil(image.height / 2);
	canvas.getContext("2d", { alpha: false })?.drawImage(image, 0, 0, canvas.width, canvas.height);
	return canvas;
}
