/** TanStack's virtualizer, as something a template can depend on: only the rows in sight exist. */

import {
	elementScroll,
	observeElementOffset,
	observeElementRect,
	type VirtualItem,
	Virtualizer,
} from "@tanstack/virtual-core";
import { untrack } from "svelte";

export interface Rows {
	readonly items: readonly VirtualItem[];
	readonly height: number;
	/** As many rows as fit, for the page keys. */
	readonly page: number;
	scrollTo(index: number): void;
}

/** Rows of one height, as the list cannot jump when they load. Call while a component is set up. */
export function virtualRows(count: () => number, rowHeight: number, scroller: () => HTMLElement | undefined): Rows {
	let items = $state.raw<readonly VirtualItem[]>([]);
	let height = $state(0);

	const show = () => {
		items = virtualizer.getVirtualItems();
		height = virtualizer.getTotalSize();
	};
	const options = () => ({
		count: count(),
		getScrollElement: () => scroller() ?? null,
		estimateSize: () => rowHeight,
		overscan: 8,
		scrollToFn: elementScroll,
		observeElementRect,
		observeElementOffset,
		onChange: show,
	});
	const virtualizer: Virtualizer<HTMLElement, HTMLElement> = new Virtualizer(untrack(options));

	$effect(() => virtualizer._didMount());
	$effect(() => {
		virtualizer.setOptions(options());
		virtualizer._willUpdate();
		virtualizer.measure();
		untrack(show);
	});

	return {
		get items() {
			return items;
		},
		get height() {
			return height;
		},
		get page() {
			return Math.max(1, Math.floor((scroller()?.clientHeight ?? 0) / rowHeight) - 1);
		},
		scrollTo: (index) => virtualizer.scrollToIndex(index),
	};
}
