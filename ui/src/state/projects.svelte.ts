/** The projects of the signed-in person, and the one that is open. */

import type { Backend } from "../backend/backend";
import type { Label, ProjectId, ProjectView } from "../wire.gen";
import type { ImageList } from "./images.svelte";
import { reason } from "./notes.svelte";

const LAST_PROJECT = "lockstep.project";

export class Projects {
	/** `null` until they are loaded. */
	list = $state.raw<readonly ProjectView[] | null>(null);
	failure = $state<string | null>(null);
	openId = $state<ProjectId | null>(null);
	labels = $state.raw<readonly Label[]>([]);

	readonly open = $derived(this.list?.find(({ project }) => project.id === this.openId)?.project ?? null);

	readonly #backend: Backend;
	readonly #images: ImageList;

	constructor(backend: Backend, images: ImageList) {
		this.#backend = backend;
		this.#images = images;
	}

	/** Loads the list, and opens the project that was open last or is the only one. */
	async load(): Promise<void> {
		this.failure = null;
		try {
			this.list = await this.#backend.projects();
		} catch (thrown) {
			this.failure = reason(thrown);
			return;
		}
		const ids = this.list.map(({ project }) => project.id);
		const last = globalThis.localStorage?.getItem(LAST_PROJECT);
		const choice = ids.length === 1 ? ids[0] : ids.find((id) => id === last);
		if (choice && !this.openId) await this.show(choice);
	}

	async show(id: ProjectId): Promise<void> {
		this.openId = id;
		this.labels = [];
		globalThis.localStorage?.setItem(LAST_PROJECT, id);
		// On the first visit the core learns of the labels while it opens the project.
		await this.#images.open(id);
		const loaded = await this.#backend.labels(id).catch(() => null);
		if (loaded) this.relabel(id, loaded);
	}

	relabel(id: ProjectId, labels: readonly Label[]): void {
		if (this.openId === id) this.labels = labels;
	}

	clear(): void {
		this.list = null;
		this.failure = null;
		this.openId = null;
		this.labels = [];
		this.#images.clear();
	}
}
