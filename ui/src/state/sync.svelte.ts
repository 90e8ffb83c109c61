/** Where the changes on this machine stand, and the conflicts that wait for a decision. */

import type { Backend } from "../backend/backend";
import type { AnnotationId, ConflictView, Delta, ImageId, SaveState, SaveView } from "../wire.gen";

/** `saving` is the window's own: an edit that the core has not confirmed is saved nowhere yet. */
export type ShownState = SaveState | "saving";

export class Sync {
	/** Whether the server answers; `null` until the core has said. */
	online = $state<boolean | null>(null);
	save = $state.raw<SaveView>({ as_of: 0, state: "synced", unsent: 0, conflicts: 0, refused: 0 });
	/** Edits, undos and redos on their way to the core's journal. */
	unconfirmed = $state(0);
	/** The native dialog is up. */
	asking = $state(false);

	/** Before the core has been asked nothing is said, least of all that all is well. */
	readonly known = $derived(this.save.as_of > 0);
	readonly state = $derived<ShownState>(this.unconfirmed > 0 ? "saving" : this.save.state);

	readonly #backend: Backend;

	constructor(backend: Backend) {
		this.#backend = backend;
	}

	async load(): Promise<void> {
		this.take(await this.#backend.save());
	}

	/** What was told before the window listened; what is told since is newer. */
	async lookAtConnection(): Promise<void> {
		const online = await this.#backend.connection();
		this.online ??= online;
	}

	/** What commands answer and what events tell travel apart: the later state stays. */
	take(save: SaveView): void {
		if (save.as_of >= this.save.as_of) this.save = save;
	}

	/** Runs `change`; until it returns, nothing says *saved*. */
	async confirmed(change: () => Promise<Delta>): Promise<Delta> {
		this.unconfirmed++;
		try {
			const delta = await change();
			this.take(delta.save);
			return delta;
		} finally {
			this.unconfirmed--;
		}
	}

	/** Puts one conflict to the person; `null` when it waits on, or another is being put. */
	async ask(annotation: AnnotationId): Promise<Delta | null> {
		if (this.asking) return null;
		this.asking = true;
		try {
			const delta = await this.#backend.askConflict(annotation);
			if (delta) this.take(delta.save);
			return delta;
		} finally {
			this.asking = false;
		}
	}

	/** The conflict to put next: the open image's before others'. */
	async next(image: ImageId | null): Promise<ConflictView | null> {
		const waiting = await this.#backend.conflicts();
		return waiting.find(({ image_id }) => image_id === image) ?? waiting[0] ?? null;
	}
}
