/** Everything the window knows, and where each fact from the core goes. */

import { getContext, setContext } from "svelte";
import type { Backend } from "../backend/backend";
import { say } from "../strings/say";
import type { ConflictView, Event, ImageId, ImageRow, LabelId, Notice, ProjectId, UserId } from "../wire.gen";
import { Account } from "./account.svelte";
import { ImageList } from "./images.svelte";
import { relabelled } from "./labelling";
import { Notes } from "./notes.svelte";
import { Pencil } from "./pencil.svelte";
import { Projects } from "./projects.svelte";
import { Session } from "./session.svelte";
import { Sync } from "./sync.svelte";

export class Desk {
	readonly notes = new Notes();
	readonly pencil = new Pencil();
	readonly account: Account;
	readonly images: ImageList;
	readonly projects: Projects;
	readonly sync: Sync;
	readonly session: Session;

	/** Whose work is on the desk. */
	#person: UserId | null = null;

	constructor(readonly backend: Backend) {
		this.account = new Account(backend);
		this.images = new ImageList(backend);
		this.projects = new Projects(backend, this.images);
		this.sync = new Sync(backend);
		this.session = new Session(backend, this.sync, this.notes);
	}

	/** Loads what the core has, and listens from before the first look, so that no fact falls between. */
	async start(): Promise<() => void> {
		const stop = await this.backend.on((event) => this.hear(event));
		await Promise.all([this.account.load(), this.sync.lookAtConnection()]);
		await this.#settle();
		return stop;
	}

	hear(event: Event): void {
		switch (event.event) {
			case "account":
				this.account.view = event.data;
				void this.#settle();
				break;
			case "connection":
				this.sync.online = event.data.online;
				break;
			case "images":
				void this.#takeRows(event.data.project_id, event.data.rows);
				break;
			case "labels":
				this.projects.relabel(event.data.project_id, event.data.labels);
				break;
			case "session":
				this.session.changed(event.data);
				break;
			case "annotations":
				this.session.apply(event.data);
				void this.session.refreshKept();
				break;
			case "save":
				this.sync.take(event.data);
				break;
			case "conflict":
				if (event.data.image_id === this.session.view?.image_id) void this.resolve(event.data);
				break;
			case "notice":
				this.#notify(event.data);
				break;
			case "open_requested":
				void this.openImage(event.data.project_id, event.data.image_id);
				break;
		}
	}

	async signIn(email: string, password: string): Promise<boolean> {
		if (!(await this.account.signIn(email, password))) return false;
		await this.#settle();
		return true;
	}

	async signOut(): Promise<void> {
		try {
			await this.account.signOut();
			await this.#settle();
		} catch (thrown) {
			this.notes.fail("failed.sign_out", thrown);
		}
	}

	async openProject(project: ProjectId): Promise<void> {
		await this.session.close();
		await this.projects.show(project);
	}

	async openImage(project: ProjectId, image: ImageId): Promise<void> {
		if (this.projects.openId !== project) await this.openProject(project);
		await this.session.open(project, image);
	}

	async openNeighbour(step: 1 | -1): Promise<void> {
		const { view } = this.session;
		const row = view && this.images.neighbour(view.image_id, step);
		if (row) await this.session.open(view.project_id, row.id);
	}

	/** Gives `label` to the selected shapes, and to the next when none is selected. */
	giveLabel(label: LabelId): void {
		const { session, pencil } = this;
		if (!session.editable) return;
		if (session.document.selection.size === 0) {
			pencil.label = label;
			return;
		}
		const edit = relabelled(session.document, label);
		if (edit) void session.edit(edit);
	}

	/** Puts `conflict` to the person, or the one that should come first. */
	async resolve(conflict?: ConflictView): Promise<void> {
		try {
			const next = conflict ?? (await this.sync.next(this.session.view?.image_id ?? null));
			if (!next) return this.sync.load();
			const delta = await this.sync.ask(next.annotation_id);
			if (delta) this.session.apply(delta);
			await this.session.refreshKept();
		} catch (thrown) {
			this.notes.fail("failed.resolve", thrown);
		}
	}

	async syncNow(): Promise<void> {
		try {
			await this.backend.syncNow();
		} catch (thrown) {
			this.notes.fail("failed.sync", thrown);
		}
	}

	/** Brings the desk in line with who is signed in. Signing in again as oneself goes on where one was. */
	async #settle(): Promise<void> {
		const person = this.account.view?.user?.id ?? null;
		if (person === this.#person) return;
		this.#person = person;
		this.session.forget();
		this.projects.clear();
		if (person !== null) await Promise.all([this.projects.load(), this.sync.load()]);
	}

	async #takeRows(project: ProjectId, rows: readonly ImageRow[] | null): Promise<void> {
		await this.images.changed(project, rows).catch(() => {});
		for (const { free } of this.notes.list) {
			const lock = free?.project === this.projects.openId ? this.images.get(free.image)?.lock.state : undefined;
			if (free && lock && lock !== "free" && lock !== "unknown") this.notes.notFree(free.project, free.image);
		}
	}

	#notify(notice: Notice): void {
		const { project_id: project, image_id: image, file_name: file } = notice;
		// The banner over the open image says it already, and has the way out.
		if (this.session.shows(project, image)) return;
		if (notice.notice === "image_free") {
			this.notes.add({ tone: "news", text: say("notes.free", { file }), free: { project, image } });
			return;
		}
		const { reason, by } = notice;
		const text =
			reason === "forced" || reason === "taken_over"
				? say(`notes.lost.${reason}`, { file, name: by ?? say("access.somebody") })
				: say(`notes.lost.${reason}`, { file });
		this.notes.add({ tone: "warning", text });
	}
}

const DESK = Symbol("desk");
export const provideDesk = (desk: Desk): Desk => setContext(DESK, desk);
export const useDesk = (): Desk => getContext(DESK);
