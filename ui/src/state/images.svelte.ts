/** The images of the open project: which there are, which the search finds, which comes next. */

import type { Backend } from "../backend/backend";
import type { ImageId, ImageRow, ProjectId } from "../wire.gen";
import { reason } from "./notes.svelte";

export class ImageList {
	rows = $state.raw<readonly ImageRow[]>([]);
	search = $state("");
	loading = $state(false);
	failure = $state<string | null>(null);

	readonly found = $derived.by(() => {
		const text = this.search.trim().toLocaleLowerCase();
		return text ? this.rows.filter(({ file_name }) => file_name.toLocaleLowerCase().includes(text)) : this.rows;
	});

	readonly #backend: Backend;
	readonly #place = new Map<ImageId, number>();
	#project: ProjectId | null = null;
	#stale = false;
	#refreshing = false;

	constructor(backend: Backend) {
		this.#backend = backend;
	}

	/** Shows the images of `project`, and has the core keep them fresh. */
	async open(project: ProjectId): Promise<void> {
		this.clear();
		this.#project = project;
		this.loading = true;
		try {
			const rows = await this.#backend.openProject(project);
			if (this.#project === project) this.#show(rows);
		} catch (thrown) {
			if (this.#project === project) this.failure = reason(thrown);
		} finally {
			if (this.#project === project) this.loading = false;
		}
	}

	clear(): void {
		this.#project = null;
		this.failure = null;
		this.loading = false;
		this.search = "";
		this.#show([]);
	}

	/** Takes in what the core says has changed; `null` for anything. */
	async changed(project: ProjectId, rows: readonly ImageRow[] | null): Promise<void> {
		if (project !== this.#project) return;
		if (rows?.every(({ id }) => this.#place.has(id))) this.#replace(rows);
		else await this.#refresh(project);
	}

	get(id: ImageId): ImageRow | undefined {
		const place = this.#place.get(id);
		return place === undefined ? undefined : this.rows[place];
	}

	/** `step` images further among those found; `null` at the end. */
	neighbour(id: ImageId, step: 1 | -1): ImageRow | null {
		const at = this.found.findIndex((row) => row.id === id);
		return (at < 0 ? this.found[0] : this.found[at + step]) ?? null;
	}

	#replace(rows: readonly ImageRow[]): void {
		const next = this.rows.slice();
		for (const row of rows) next[this.#place.get(row.id) as number] = row;
		this.rows = next;
	}

	#show(rows: readonly ImageRow[]): void {
		this.#place.clear();
		rows.forEach(({ id }, at) => {
			this.#place.set(id, at);
		});
		this.rows = rows;
	}

	/** However many calls come meanwhile, one more look follows the one under way. */
	async #refresh(project: ProjectId): Promise<void> {
		this.#stale = true;
		if (this.#refreshing) return;
		this.#refreshing = true;
		try {
			while (this.#stale) {
				this.#stale = false;
				const rows = await this.#backend.images(project);
				if (this.#project === project) this.#show(rows);
			}
		} finally {
			this.#refreshing = false;
		}
	}
}
