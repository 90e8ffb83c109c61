/** The picture on its way: asked for, there, or not to be had. */

import { loadPicture } from "./load-picture";

export class Picture {
	state = $state.raw<"loading" | "shown" | "failed">("loading");
	bitmap = $state.raw<ImageBitmap | null>(null);
	#wanted = "";

	/** What was shown before goes at once: shapes must never lie over another image's picture. */
	async load(url: string): Promise<void> {
		this.drop();
		this.#wanted = url;
		this.state = "loading";
		const bitmap = await loadPicture(url).catch(() => null);
		if (url !== this.#wanted) {
			bitmap?.close();
			return;
		}
		this.bitmap = bitmap;
		this.state = bitmap ? "shown" : "failed";
	}

	drop(): void {
		this.#wanted = "";
		this.bitmap?.close();
		this.bitmap = null;
	}

	retry(): void {
		void this.load(this.#wanted);
	}
}
