/**
 * The annotations of the open image as the window shows them, and which of them are selected.
 *
 * **Invariant:** what is shown is always what the core confirmed with the unanswered edits laid over it, in order;
 * so an answer, a refusal or news from elsewhere can come in any order without a shape jumping back and forth,
 * and an earlier state never replaces a later one.
 */

import { createSubscriber } from "svelte/reactivity";
import type { AnnotationId, AnnotationView, Delta, Edit, HistoryView } from "../wire.gen";
import { changed } from "./edits";

/** What a listener must look at again. */
export interface DocumentChange {
	/** Shapes that were changed, added or removed. */
	shapes: readonly AnnotationId[];
	selection: boolean;
}

type Listener = (change: DocumentChange) => void;

/** What an image starts with: an `OpenedImage` is one of these. */
export interface Contents {
	annotations: readonly AnnotationView[];
	history: HistoryView;
	/** The moment it is of; left out: before any. */
	save?: { as_of: number };
}

const NOTHING: Contents = { annotations: [], history: { can_undo: false, can_redo: false } };

export class ImageDocument {
	readonly #confirmed = new Map<AnnotationId, AnnotationView>();
	/** Of which moment what is confirmed is; `#openedAsOf` for what has not changed since. */
	readonly #asOf = new Map<AnnotationId, number>();
	readonly #openedAsOf: number;
	#historyAsOf: number;
	readonly #shown = new Map<AnnotationId, AnnotationView>();
	/** Kept when a shape goes, so that an undone removal puts it back between its neighbours. */
	readonly #rank = new Map<AnnotationId, number>();
	readonly #unanswered: Edit[] = [];
	readonly #listeners = new Set<Listener>();
	#inOrder: readonly AnnotationView[] | null = null;
	#selection: ReadonlySet<AnnotationId> = new Set();
	#history: HistoryView;

	/** Makes every getter reactive inside Svelte's effects and templates, and costs nothing outside. */
	readonly #track = createSubscriber((update) => this.subscribe(update));

	constructor({ annotations, history, save }: Contents = NOTHING) {
		this.#history = history;
		this.#openedAsOf = save?.as_of ?? 0;
		this.#historyAsOf = this.#openedAsOf;
		for (const annotation of annotations) {
			this.#confirmed.set(annotation.id, annotation);
			this.#show(annotation.id);
		}
	}

	/** In drawing order: the last is on top. */
	get annotations(): readonly AnnotationView[] {
		this.#track();
		this.#inOrder ??= [...this.#shown.values()].sort((a, b) => this.rank(a.id) - this.rank(b.id));
		return this.#inOrder;
	}

	get count(): number {
		this.#track();
		return this.#shown.size;
	}

	get history(): HistoryView {
		this.#track();
		return this.#history;
	}

	get selection(): ReadonlySet<AnnotationId> {
		this.#track();
		return this.#selection;
	}

	/** In the order in which they were selected. */
	get selected(): AnnotationView[] {
		return [...this.selection].flatMap((id) => this.get(id) ?? []);
	}

	get(id: AnnotationId): AnnotationView | undefined {
		this.#track();
		return this.#shown.get(id);
	}

	/** Greater is nearer to the top. */
	rank(id: AnnotationId): number {
		return this.#rank.get(id) ?? -1;
	}

	subscribe(listener: Listener): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	select(ids: Iterable<AnnotationId>): void {
		const next = new Set(ids);
		if (next.size === this.#selection.size && [...next].every((id) => this.#selection.has(id))) return;
		this.#selection = next;
		this.#tell({ shapes: [], selection: true });
	}

	/** Shows `edit` at once, has `send` make it durable, and takes it back when that fails. */
	async commit(edit: Edit, send: (edit: Edit) => Promise<Delta>): Promise<void> {
		this.#unanswered.push(edit);
		this.#lookAgain(idsOf(edit));
		let delta: Delta | null = null;
		try {
			delta = await send(edit);
		} finally {
			this.#unanswered.splice(this.#unanswered.indexOf(edit), 1);
			if (delta) this.apply(delta, idsOf(edit));
			else this.#lookAgain(idsOf(edit));
		}
	}

	/** Takes in what the core says has changed: the answer to an edit, an undo, or news from the server. */
	apply(delta: Delta, also: readonly AnnotationId[] = []): void {
		const { as_of } = delta.save;
		for (const annotation of delta.changed) {
			if (this.#isNews(annotation.id, as_of)) this.#confirmed.set(annotation.id, annotation);
		}
		for (const id of delta.removed) {
			if (this.#isNews(id, as_of)) this.#confirmed.delete(id);
		}
		if (as_of > this.#historyAsOf) {
			this.#historyAsOf = as_of;
			this.#history = delta.history;
		}
		this.#lookAgain([...delta.changed.map(({ id }) => id), ...delta.removed, ...also]);
	}

	#isNews(id: AnnotationId, asOf: number): boolean {
		if (asOf <= (this.#asOf.get(id) ?? this.#openedAsOf)) return false;
		this.#asOf.set(id, asOf);
		return true;
	}

	#lookAgain(ids: readonly AnnotationId[]): void {
		const shapes = [...new Set(ids)];
		for (const id of shapes) this.#show(id);
		const left = [...this.#selection].filter((id) => this.#shown.has(id));
		const selection = left.length < this.#selection.size;
		if (selection) this.#selection = new Set(left);
		this.#tell({ shapes, selection });
	}

	#show(id: AnnotationId): void {
		const view = this.#unanswered
			.flatMap((edit) => edit.changes)
			.filter((change) => change.id === id)
			.reduce(changed, this.#confirmed.get(id));
		if (!this.#rank.has(id)) this.#rank.set(id, this.#rank.size);
		if (view) this.#shown.set(id, view);
		else this.#shown.delete(id);
		this.#inOrder = null;
	}

	#tell(change: DocumentChange): void {
		for (const listener of this.#listeners) listener(change);
	}
}

const idsOf = (edit: Edit): AnnotationId[] => edit.changes.map(({ id }) => id);
