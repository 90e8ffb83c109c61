/** The time of day as something a template can depend on: ticks each second while anyone looks, and not otherwise. */

import { createSubscriber } from "svelte/reactivity";

const track = createSubscriber((tick) => {
	const timer = setInterval(tick, 1000);
	return () => clearInterval(timer);
});

export function now(): number {
	track();
	return Date.now();
}
