/** What the window has told in passing, until it is dismissed or has stood long enough. */

import { failureOf } from "../backend/failure";
import { say } from "../strings/say";
import type { ImageId, ProjectId } from "../wire.gen";

export interface Note {
	id: number;
	tone: "news" | "warning" | "failure";
	text: string;
	/** An image that is free, to open from the note. */
	free?: { project: ProjectId; image: ImageId };
}

/** What did not work, as the catalogue names it. */
export type Failed =
	| "failed.edit"
	| "failed.open"
	| "failed.close"
	| "failed.undo"
	| "failed.redo"
	| "failed.take_back"
	| "failed.force"
	| "failed.watch"
	| "failed.resolve"
	| "failed.restore"
	| "failed.sync"
	| "failed.sign_out";

/** Long enough to read a sentence twice; a failure stays until it is dismissed. */
const NEWS_MS = 12_000;
const AT_MOST = 4;

export class Notes {
	list = $state.raw<readonly Note[]>([]);
	#last = 0;

	add(note: Omit<Note, "id">): void {
		const id = ++this.#last;
		// The same sentence again replaces itself, so that a failing loop does not fill the window.
		const others = this.list.filter(({ text }) => text !== note.text);
		this.list = [...others, { ...note, id }].slice(-AT_MOST);
		if (note.tone === "news") setTimeout(() => this.dismiss(id), NEWS_MS);
	}

	/** Says that `what` did not work, and why. */
	fail(what: Failed, thrown: unknown): void {
		const failure = failureOf(thrown);
		// Not a failure: the person has gone on to another image, or is leaving.
		if (failure.code === "superseded" || failure.code === "closing") return;
		this.add({ tone: "failure", text: [say(what), reason(thrown)].filter(Boolean).join(" ") });
	}

	dismiss(id: number): void {
		this.list = this.list.filter((note) => note.id !== id);
	}

	/** The image is not free any more: someone has it, perhaps this window. */
	notFree(project: ProjectId, image: ImageId): void {
		this.list = this.list.filter(({ free }) => free?.project !== project || free.image !== image);
	}
}

/** Why, in the window's own words where the code has some, else in the core's. */
export function reason(thrown: unknown): string {
	const { code, message } = failureOf(thrown);
	switch (code) {
		case "signed_out":
		case "offline":
		case "not_editing":
		case "not_found":
		case "picture_not_here":
		case "closing":
			return say(`because.${code}`);
		default:
			return message;
	}
}
