/**
 * The open image: what may be done with it, what is drawn on it, and every change to it on its way to the core.
 *
 * **Invariant:** changes reach the core one at a time and in the order in which they were made.
 */

import type { Backend, Opening } from "../backend/backend";
import { ImageDocument } from "../document";
import { say } from "../strings/say";
import type { Access, Delta, Edit, ImageId, KeptVersion, OpenedImage, ProjectId, SessionView } from "../wire.gen";
import type { Notes } from "./notes.svelte";
import type { Sync } from "./sync.svelte";

export class Session {
	/** `null`: no image is open. */
	view = $state.raw<SessionView | null>(null);
	document = $state.raw(new ImageDocument());
	kept = $state.raw<readonly KeptVersion[]>([]);
	/** The image being opened, while its lock is asked for. */
	opening = $state<ImageId | null>(null);

	/** Nothing can be drawn while another image is being opened: the core no longer has this one. */
	readonly editable = $derived(this.view !== null && this.opening === null && mayEdit(this.view.access));

	/** The last that was told, of whichever image: news may overtake the answer to opening one. */
	#heard: SessionView | null = null;

	readonly #backend: Backend;
	readonly #sync: Sync;
	readonly #notes: Notes;
	#attempt = 0;
	#last: Promise<unknown> = Promise.resolve();

	constructor(backend: Backend, sync: Sync, notes: Notes) {
		this.#backend = backend;
		this.#sync = sync;
		this.#notes = notes;
	}

	/** Opens an image in place of the one that is open; when that comes to nothing, goes back to it. */
	async open(project: ProjectId, image: ImageId): Promise<void> {
		if (this.opening === image || (this.editable && this.shows(project, image))) return;
		const attempt = ++this.#attempt;
		const before = this.view;
		this.opening = image;
		try {
			// What was drawn must be kept before the core turns to another image; but nothing waits for the dialog.
			await this.#last;
			const opening = await this.#backend.openImage(project, image);
			if (attempt !== this.#attempt) {
				// Another was asked for meanwhile, and its answer is the one to show; or it was to be closed after all.
				if (this.opening === null && this.view === null) await this.#backend.closeImage();
				return;
			}
			if (opening.outcome === "opened") this.#show(opening.image);
			else await this.#goBack(before, attempt);
		} catch (thrown) {
			this.#notes.fail("failed.open", thrown);
			if (attempt === this.#attempt) await this.#goBack(before, attempt);
		} finally {
			if (attempt === this.#attempt) this.opening = null;
		}
	}

	async close(): Promise<void> {
		if (!this.view) return;
		this.#attempt++;
		this.opening = null;
		try {
			await this.#inTurn(() => this.#backend.closeImage());
			this.forget();
		} catch (thrown) {
			this.#notes.fail("failed.close", thrown);
		}
	}

	/** Shows no image, whatever the core thinks of it. */
	forget(): void {
		this.view = null;
		this.document = new ImageDocument();
		this.kept = [];
	}

	/** Takes in news of the open image. */
	changed(view: SessionView): void {
		const later = this.#later(view);
		this.#heard = later;
		if (this.shows(view.project_id, view.image_id)) this.view = later;
	}

	apply(delta: Delta): void {
		if (delta.image_id !== this.view?.image_id) return;
		this.document.apply(delta);
	}

	/** Shows `edit` at once; it is taken back, with a word why, if the core does not keep it. */
	async edit(edit: Edit): Promise<void> {
		const { document } = this;
		if (!this.editable) return;
		try {
			await document.commit(edit, (sent) => this.#confirmed(() => this.#backend.edit(sent)));
		} catch (thrown) {
			this.#notes.fail("failed.edit", thrown);
		}
	}

	async undo(): Promise<void> {
		await this.#step("failed.undo", () => this.#backend.undo());
	}

	async redo(): Promise<void> {
		await this.#step("failed.redo", () => this.#backend.redo());
	}

	async restore(version: KeptVersion): Promise<void> {
		await this.#step("failed.restore", () => this.#backend.restore(version.id));
		await this.refreshKept();
	}

	async takeBack(): Promise<void> {
		try {
			const opening = await this.#inTurn(() => this.#backend.takeBack());
			if (opening.outcome === "opened") this.#show(opening.image);
			else if (opening.outcome === "locked") {
				const { user_name: name } = opening.holder;
				this.#notes.add({ tone: "warning", text: say("access.still_locked", { name }) });
			}
		} catch (thrown) {
			this.#notes.fail("failed.take_back", thrown);
		}
	}

	async forceRelease(): Promise<void> {
		if (!this.view) return;
		const { project_id, image_id } = this.view;
		try {
			await this.#backend.forceRelease(project_id, image_id);
		} catch (thrown) {
			this.#notes.fail("failed.force", thrown);
		}
	}

	async watch(wanted: boolean): Promise<void> {
		if (!this.view) return;
		const { project_id, image_id } = this.view;
		try {
			await (wanted ? this.#backend.watch(project_id, image_id) : this.#backend.unwatch(project_id, image_id));
		} catch (thrown) {
			this.#notes.fail("failed.watch", thrown);
		}
	}

	async refreshKept(): Promise<void> {
		if (!this.view) return;
		const { project_id, image_id } = this.view;
		const kept = await this.#backend.kept(project_id, image_id).catch(() => []);
		if (this.view?.image_id === image_id) this.kept = kept;
	}

	shows(project: ProjectId, image: ImageId): boolean {
		return this.view?.project_id === project && this.view.image_id === image;
	}

	/**
	 * To the image that the core has let go of for another, which was then not opened. Until it is open again none is:
	 * its lock may be someone else's by now.
	 */
	async #goBack(before: SessionView | null, attempt: number): Promise<void> {
		this.forget();
		if (!before) return;
		const { project_id, image_id, access } = before;
		this.opening = image_id;
		try {
			// Who was only looking is not asked what to do about the lock once more.
			const again: Opening = mayEdit(access)
				? await this.#backend.openImage(project_id, image_id)
				: { outcome: "opened", image: await this.#backend.openReadOnly(project_id, image_id) };
			if (attempt === this.#attempt && again.outcome === "opened") this.#show(again.image);
		} catch (thrown) {
			this.#notes.fail("failed.open", thrown);
		}
	}

	/** What commands answer and what events tell of one image travel apart: the later stays. */
	#later(view: SessionView): SessionView {
		const ofThis = (other: SessionView | null) =>
			other?.project_id === view.project_id && other.image_id === view.image_id ? [other] : [];
		return [...ofThis(this.view), ...ofThis(this.#heard)].reduce((a, b) => (b.as_of > a.as_of ? b : a), view);
	}

	#show(image: OpenedImage): void {
		const { project_id, image_id } = image.session;
		this.#notes.notFree(project_id, image_id);
		const selection = this.shows(project_id, image_id) ? this.document.selection : [];
		this.view = this.#later(image.session);
		this.document = new ImageDocument(image);
		this.document.select(selection);
		this.kept = [];
		this.#sync.take(image.save);
		void this.refreshKept();
	}

	async #step(failed: "failed.undo" | "failed.redo" | "failed.restore", step: () => Promise<Delta>): Promise<void> {
		try {
			this.apply(await this.#confirmed(step));
		} catch (thrown) {
			this.#notes.fail(failed, thrown);
		}
	}

	#confirmed(change: () => Promise<Delta>): Promise<Delta> {
		return this.#sync.confirmed(() => this.#inTurn(change));
	}

	/** Runs `task` after everything that was asked for before it, however that ended. */
	#inTurn<T>(task: () => Promise<T>): Promise<T> {
		const turn = this.#last.then(task, task);
		this.#last = turn.catch(() => {});
		return turn;
	}
}

const mayEdit = ({ state }: Access): boolean => ["editing", "jeopardy", "offline"].includes(state);
