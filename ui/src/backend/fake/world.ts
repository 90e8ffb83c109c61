/**
 * A core made of memory, for the window's development and its pictures: one server, one person at this window, others
 * who come and go, and a network that can be cut.
 */

import type {
	Access,
	AccountView,
	AnnotationView,
	ConflictView,
	Delta,
	Edit,
	EditChange,
	Event,
	HistoryView,
	ImageId,
	ImageRow,
	KeptVersion,
	OpenedImage,
	ProjectView,
	SaveView,
	SessionView,
	User,
} from "../../wire.gen";
import type { Backend, Opening } from "../backend";
import type { Failure, FailureCode } from "../failure";
import { ALICE, annotationsOn, DEMO_PEOPLE, imageRows, LABELS, STREETS, seedOf } from "./cast";
import { street } from "./street";

const LEASE_MS = 5 * 60_000;

interface Sheet {
	annotations: Map<string, AnnotationView>;
	done: EditChange[][];
	undone: EditChange[][];
	kept: KeptVersion[];
}

export class World implements Backend {
	signedIn: AccountView = {
		server: "https://lockstep.example.org",
		user: ALICE,
		this_run_only: null,
		sign_in_again: false,
	};
	people = DEMO_PEOPLE;
	memberOf: ProjectView[] = [STREETS];
	rows: ImageRow[] = imageRows(12);
	online = true;
	reachable = true;
	/** How long a command and the way to the server take. */
	latencyMs = 15;
	syncMs = 600;
	/** Commands that fail, and how. */
	readonly failing = new Map<keyof Backend, Failure>();
	/** Commands that never answer. */
	readonly hanging = new Set<keyof Backend>();
	readonly waiting: ConflictView[] = [];
	refused = 0;
	/** Answers the shell's dialogs, which a browser has not. */
	answer: (question: string) => boolean = (question) => globalThis.confirm?.(question) ?? false;

	readonly #hearers = new Set<(event: Event) => void>();
	/** Counts the states that were told, as the core does. */
	#looks = 0;
	readonly #sheets = new Map<ImageId, Sheet>();
	#open: SessionView | null = null;

	// People and projects

	account = () => this.#command("account", () => this.signedIn);
	connection = () => this.#command("connection", () => this.online && this.reachable);
	demoPeople = () => this.#command("demoPeople", () => this.people);

	signIn = (email: string, password: string) =>
		this.#command("signIn", () => {
			if (!this.reachable) throw failure("offline");
			const known = DEMO_PEOPLE.find((person) => person.email === email && person.password === password);
			if (!known) throw failure("wrong_password");
			return this.#setAccount({ user: userNamed(known.name), sign_in_again: false });
		});

	signOut = () =>
		this.#command("signOut", () => {
			this.#open = null;
			return this.#setAccount({ user: null });
		});

	projects = () => this.#command("projects", () => this.memberOf);
	openProject = () => this.#command("openProject", () => this.rows);
	images = () => this.#command("images", () => this.rows);
	labels = () => this.#command("labels", () => LABELS);

	// Opening and locks

	openImage = (project: string, image: ImageId) =>
		this.#command("openImage", (): Opening => {
			if (this.#open?.image_id !== image) this.#close();
			const row = this.row(image);
			if (row.lock.state === "theirs") {
				const question = `This image is currently being edited by ${row.lock.user_name}. Look at it read-only?`;
				if (!this.answer(question)) return { outcome: "cancelled" };
				return { outcome: "opened", image: this.#opened(project, row, this.readOnly(row)) };
			}
			return { outcome: "opened", image: this.#opened(project, row, this.granted()) };
		});

	openReadOnly = (project: string, image: ImageId) =>
		this.#command("openReadOnly", () => this.#opened(project, this.row(image), this.readOnly(this.row(image))));

	closeImage = () => this.#command("closeImage", () => this.#close());

	takeBack = () =>
		this.#command("takeBack", (): Opening => {
			const session = this.#session();
			const row = this.row(session.image_id);
			return { outcome: "opened", image: this.#opened(session.project_id, row, this.granted()) };
		});

	forceRelease = (_: string, image: ImageId) =>
		this.#command("forceRelease", () => {
			this.changeRow(image, { lock: { state: "free" } });
			if (this.#open?.image_id === image) this.setAccess({ state: "read_only", holder: null, free: true });
		});

	watch = (_: string, image: ImageId) => this.#command("watch", () => this.changeRow(image, { watched: true }));
	unwatch = (_: string, image: ImageId) => this.#command("unwatch", () => this.changeRow(image, { watched: false }));

	// Annotations

	edit = (edit: Edit) =>
		this.#command("edit", () => {
			const sheet = this.#editable();
			sheet.done.push(this.#applied(sheet, edit.changes));
			sheet.undone.length = 0;
			return this.#saved(edit.changes);
		});

	undo = () => this.#command("undo", () => this.#stepBack("done", "undone"));
	redo = () => this.#command("redo", () => this.#stepBack("undone", "done"));

	conflicts = () => this.#command("conflicts", () => [...this.waiting]);

	askConflict = (annotation: string) =>
		this.#command("askConflict", () => {
			const at = this.waiting.findIndex(({ annotation_id }) => annotation_id === annotation);
			const conflict = this.waiting[at];
			if (!conflict || !this.answer("Reload the latest version, and set yours aside?")) return null;
			this.waiting.splice(at, 1);
			return this.#reloaded(conflict);
		});

	kept = (_: string, image: ImageId) => this.#command("kept", () => [...this.sheet(image).kept]);

	restore = (id: number) =>
		this.#command("restore", () => {
			const sheet = this.#editable();
			const kept = sheet.kept.find((version) => version.id === id);
			if (!kept) throw failure("not_found");
			const change: EditChange = kept.fields
				? { change: "put", id: kept.annotation_id, ...kept.fields }
				: { change: "remove", id: kept.annotation_id };
			sheet.done.push(this.#applied(sheet, [change]));
			return this.#saved([change]);
		});

	// The window itself

	syncNow = () => this.#command("syncNow", () => this.#push());
	save = () => this.#command("save", () => this.saveView());
	quit = () => this.#command("quit", () => globalThis.close?.());

	on = async (hear: (event: Event) => void) => {
		this.#hearers.add(hear);
		return () => void this.#hearers.delete(hear);
	};

	pictureUrl = (_: string, image: ImageId) => `data:image/svg+xml,${encodeURIComponent(street(seedOf(image)).svg)}`;
	thumbnailUrl = this.pictureUrl;

	// What else happens in the world: for scenes and tests

	tell(event: Event): void {
		for (const hear of this.#hearers) hear(event);
	}

	row(image: ImageId): ImageRow {
		const row = this.rows.find(({ id }) => id === image);
		if (!row) throw failure("not_found");
		return row;
	}

	sheet(image: ImageId): Sheet {
		const known = this.#sheets.get(image);
		if (known) return known;
		const annotations = new Map(annotationsOn(this.row(image)).map((annotation) => [annotation.id, annotation]));
		const sheet: Sheet = { annotations, done: [], undone: [], kept: [] };
		this.#sheets.set(image, sheet);
		return sheet;
	}

	changeRow(image: ImageId, change: Partial<ImageRow>): void {
		const row = { ...this.row(image), ...change };
		this.rows = this.rows.map((each) => (each.id === image ? row : each));
		this.tell({ event: "images", data: { project_id: STREETS.project.id, rows: [row] } });
	}

	setAccess(access: Access): void {
		this.#open = { ...this.#session(), access, as_of: ++this.#looks };
		this.tell({ event: "session", data: this.#open });
	}

	setOnline(online: boolean): void {
		this.online = online;
		this.tell({ event: "connection", data: { online } });
		this.rows = this.rows.map((row) => ({ ...row, lock: { state: online ? "free" : "unknown" } }));
		this.tell({ event: "images", data: { project_id: STREETS.project.id, rows: null } });
		if (this.#open) this.setAccess(this.granted());
		this.tell({ event: "save", data: this.saveView() });
		if (online) void this.#push();
	}

	addConflict(conflict: ConflictView): void {
		this.waiting.push(conflict);
		this.changeRow(conflict.image_id, { conflicts: 1 });
		this.tell({ event: "save", data: this.saveView() });
		this.tell({ event: "conflict", data: conflict });
	}

	granted(): Access {
		return this.online ? { state: "editing", until: fromNow(LEASE_MS) } : { state: "offline" };
	}

	readOnly({ lock }: ImageRow): Access {
		const nobody: Access = { state: "read_only", holder: null, free: lock.state === "free" };
		if (lock.state === "theirs") {
			return { ...nobody, holder: { ...lock, is_me: false, device: null } };
		}
		if (lock.state === "mine_elsewhere") {
			const me = this.signedIn.user ?? ALICE;
			return { ...nobody, holder: { ...lock, user_id: me.id, user_name: me.name, is_me: true } };
		}
		return nobody;
	}

	saveView(): SaveView {
		const unsent = [...this.#sheets.values()].reduce((sum, sheet) => sum + unsentOn(sheet), 0);
		const conflicts = this.waiting.length;
		const { refused } = this;
		const state = conflicts
			? "conflict"
			: refused
				? "refused"
				: !this.online
					? "offline"
					: unsent
						? "saved_here"
						: "synced";
		return { as_of: ++this.#looks, state, unsent, conflicts, refused };
	}

	#opened(project: string, row: ImageRow, access: Access): OpenedImage {
		const { id: image_id, file_name, width, height } = row;
		this.#open = {
			as_of: ++this.#looks,
			project_id: project,
			image_id,
			file_name,
			width,
			height,
			access,
			may_force: true,
		};
		if (access.state === "editing") this.changeRow(row.id, { lock: { state: "mine" } });
		const sheet = this.sheet(row.id);
		return {
			session: this.#open,
			annotations: [...sheet.annotations.values()],
			history: historyOf(sheet),
			save: this.saveView(),
		};
	}

	#close(): void {
		const image = this.#open?.image_id;
		this.#open = null;
		if (image && this.row(image).lock.state === "mine") this.changeRow(image, { lock: { state: "free" } });
	}

	#session(): SessionView {
		if (!this.#open) throw failure("not_editing");
		return this.#open;
	}

	#editable(): Sheet {
		const { access, image_id } = this.#session();
		if (!["editing", "jeopardy", "offline"].includes(access.state)) throw failure("not_editing");
		return this.sheet(image_id);
	}

	#stepBack(from: "done" | "undone", to: "done" | "undone"): Delta {
		const sheet = this.#editable();
		const step = sheet[from].pop();
		if (!step) return this.#delta([]);
		sheet[to].push(this.#applied(sheet, step));
		return this.#saved(step);
	}

	/** Applies `changes` and gives back what would take them back. */
	#applied(sheet: Sheet, changes: EditChange[]): EditChange[] {
		const back = changes.map(({ id }): EditChange => {
			const before = sheet.annotations.get(id);
			if (!before) return { change: "remove", id };
			const { label_id, geometry, attributes } = before;
			return { change: "put", id, label_id, geometry, attributes };
		});
		for (const change of changes) {
			if (change.change === "remove") {
				sheet.annotations.delete(change.id);
				continue;
			}
			const { id, label_id, geometry, attributes } = change;
			const version = sheet.annotations.get(id)?.version ?? null;
			sheet.annotations.set(id, { id, version, editable: true, sync: "unsent", label_id, geometry, attributes });
		}
		return back.reverse();
	}

	#saved(changes: EditChange[]): Delta {
		const { image_id } = this.#session();
		const sheet = this.sheet(image_id);
		this.changeRow(image_id, { annotation_count: sheet.annotations.size, unsent: unsentOn(sheet) });
		if (this.online) setTimeout(() => this.#push(), this.syncMs);
		return this.#delta(changes.map(({ id }) => id));
	}

	#push(): void {
		if (!this.online) return;
		for (const [image, sheet] of this.#sheets) {
			const unsent = [...sheet.annotations.values()].filter(({ sync }) => sync === "unsent");
			for (const view of unsent) {
				sheet.annotations.set(view.id, { ...view, sync: "synced", version: (view.version ?? 0) + 1 });
			}
			if (unsent.length === 0) continue;
			this.changeRow(image, { unsent: 0 });
			if (this.#open?.image_id === image) {
				this.tell({ event: "annotations", data: this.#delta(unsent.map(({ id }) => id)) });
			}
		}
		this.tell({ event: "save", data: this.saveView() });
	}

	#reloaded(conflict: ConflictView): Delta {
		const sheet = this.sheet(conflict.image_id);
		const { annotation_id, mine, theirs } = conflict;
		sheet.kept.push({ id: sheet.kept.length + 1, annotation_id, author: null, fields: mine, kept_at: fromNow(0) });
		if (theirs) {
			const { label_id, geometry, attributes, version } = theirs;
			const view = {
				id: annotation_id,
				version,
				editable: true,
				sync: "synced" as const,
				label_id,
				geometry,
				attributes,
			};
			sheet.annotations.set(annotation_id, view);
		} else sheet.annotations.delete(annotation_id);
		this.changeRow(conflict.image_id, { conflicts: this.waiting.length });
		const delta = this.#delta([annotation_id]);
		this.tell({ event: "save", data: delta.save });
		return delta;
	}

	#delta(ids: string[]): Delta {
		const { image_id } = this.#session();
		const sheet = this.sheet(image_id);
		return {
			image_id,
			changed: ids.flatMap((id) => sheet.annotations.get(id) ?? []),
			removed: ids.filter((id) => !sheet.annotations.has(id)),
			history: historyOf(sheet),
			save: this.saveView(),
		};
	}

	#setAccount(change: Partial<AccountView>): AccountView {
		this.signedIn = { ...this.signedIn, ...change };
		return this.signedIn;
	}

	async #command<T>(name: keyof Backend, run: () => T): Promise<T> {
		if (this.hanging.has(name)) await new Promise(() => {});
		await new Promise((resolve) => setTimeout(resolve, this.latencyMs));
		const failing = this.failing.get(name);
		if (failing) throw failing;
		return run();
	}
}

export const failure = (code: FailureCode, message = ""): Failure => ({ code, message });
export const fromNow = (ms: number): string => new Date(Date.now() + ms).toISOString();

const userNamed = (name: string): User => ({
	...ALICE,
	id: name === "Bob" ? 2 : 1,
	name,
	email: `${name.toLowerCase()}@example.org`,
});
const unsentOn = (sheet: Sheet): number =>
	[...sheet.annotations.values()].filter(({ sync }) => sync === "unsent").length;
const historyOf = (sheet: Sheet): HistoryView => ({
	can_undo: sheet.done.length > 0,
	can_redo: sheet.undone.length > 0,
});
