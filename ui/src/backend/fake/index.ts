/** The made-up world that the page's address asks for: `?scene=NAME`. */

import type { Backend } from "../backend";
import { SCENES } from "./scenes";
import { World } from "./world";

export { SCENES } from "./scenes";
export { World } from "./world";

export function fakeFromAddress(search: string): Backend {
	const world = new World();
	const name = new URLSearchParams(search).get("scene") ?? "images";
	const scene = SCENES[name];
	if (!scene) throw new Error(`no scene is called ${name}; there are ${Object.keys(SCENES).join(", ")}`);
	scene.before?.(world);
	const { on } = world;
	// The scene begins when the window hears, as news from a real core would.
	world.on = async (hear) => {
		const stop = await on(hear);
		setTimeout(() => scene.during?.(world), 200);
		return stop;
	};
	// For whoever takes a picture: the scene has been played.
	setTimeout(() => Object.assign(world, { settled: true }), 900);
	// From the console: `world.setOnline(false)`.
	Object.assign(globalThis, { world });
	return world;
}
