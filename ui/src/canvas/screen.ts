/** How large an element is on the screen, and how many of the screen's own pixels make one of CSS's. */

import type { Size } from "../document/rect";

/** Tells at once and whenever either changes, as when a window is dragged to another screen. */
export function watchScreen(element: HTMLElement, tell: (size: Size, ratio: number) => void): () => void {
	const look = () => tell({ width: element.clientWidth, height: element.clientHeight }, devicePixelRatio);
	const sizes = new ResizeObserver(look);
	sizes.observe(element);
	let ratios: MediaQueryList;
	const ratioChanged = () => {
		look();
		watchRatio();
	};
	// A query can only ask for one ratio, so each change needs a new one.
	const watchRatio = () => {
		ratios?.removeEventListener("change", ratioChanged);
		ratios = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
		ratios.addEventListener("change", ratioChanged);
	};
	watchRatio();
	look();
	return () => {
		sizes.disconnect();
		ratios.removeEventListener("change", ratioChanged);
	};
}
