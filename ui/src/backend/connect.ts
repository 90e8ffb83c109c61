/** Picks what stands behind the window. */

import { isTauri } from "@tauri-apps/api/core";
import type { Backend } from "./backend";
import { tauri } from "./tauri";

export async function connect(): Promise<Backend> {
	// A plain browser has no shell to ask; the made-up world never gets into a release.
	if (import.meta.env.DEV && !isTauri()) {
		const { fakeFromAddress } = await import("./fake");
		return fakeFromAddress(location.search);
	}
	return tauri;
}
