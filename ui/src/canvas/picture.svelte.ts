/** The picture on its way: asked for, there, or not to be had. */

import { loadPicture } from "./load-picture";

export class Picture {
	state = $state.raw<"loading" | "shown" | "failed">("loading");
	image = $state.raw<HTMLImageElement | null>(null);
	#wanted = "";

	/** What was shown before goes at once: shapes must never lie over another image's picture. */
	async load(url: string): Promise<void> {
		this.#wanted = url;
		this.image = null;
		this.state = "loading";
		const image = await loadPicture(url).catch(() => null);
		if (url !== this.#wanted) return;
		this.image = image;
		this.state = image ? "shown" : "failed";
	}

	retry(): void {
		void this.load(this.#wanted);
	}
}
