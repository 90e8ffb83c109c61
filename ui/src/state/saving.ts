/** What the status bar says of the changes on this machine. */

import { say } from "../strings/say";
import type { SaveView } from "../wire.gen";
import type { ShownState } from "./sync.svelte";

/** For who has to sign in again. */
export const keptUntilSignIn = ({ unsent }: SaveView): string =>
	unsent > 0 ? say("signin.again.kept", { count: unsent }) : say("signin.again.nothing");

export function saying(state: ShownState, { unsent, conflicts, refused }: SaveView): string {
	switch (state) {
		case "saving":
			return say("save.saving");
		case "synced":
			return say("save.synced");
		case "saved_here":
			return unsent > 0 ? say("save.saved_here", { count: unsent }) : say("save.saved_here.all");
		case "syncing":
			return unsent > 0 ? say("save.syncing", { count: unsent }) : say("save.syncing.all");
		case "offline":
			return unsent > 0 ? say("save.offline", { count: unsent }) : say("save.offline.nothing");
		case "conflict":
			return say("save.conflict", { count: conflicts });
		case "refused":
			return say("save.refused", { count: refused });
	}
}
