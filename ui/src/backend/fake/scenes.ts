/** Every state the window can be in, by name: `?scene=jeopardy`. */

import type { AnnotationView, ConflictView } from "../../wire.gen";
import { BOB, HARBOUR, imageRows, STREETS } from "./cast";
import { failure, fromNow, type World } from "./world";

export interface Scene {
	/** How the world is before the window looks. */
	before?(world: World): void;
	/** What happens once it listens. */
	during?(world: World): void;
}

const HERE = "street-1";
const open = (world: World) =>
	world.tell({ event: "open_requested", data: { project_id: STREETS.project.id, image_id: HERE } });

const minutesAgo = (minutes: number) => fromNow(-minutes * 60_000);
const bobs = (minutes: number) => ({
	state: "theirs" as const,
	user_id: BOB.id,
	user_name: BOB.name,
	since: minutesAgo(minutes),
});

/** In a project with some going on, with the first image open; `then` follows. */
const opened = (then: (world: World) => void = () => {}): Scene => ({
	before: someGoingOn,
	during(world) {
		open(world);
		setTimeout(() => then(world), 300);
	},
});

const lookingAtBobs = (then: (world: World) => void = () => {}): Scene => ({
	before(world) {
		world.answer = () => true;
		world.changeRow(HERE, { lock: bobs(12) });
	},
	during: (world) => opened(then).during?.(world),
});

function someGoingOn(world: World): void {
	world.changeRow("street-2", { lock: bobs(12) });
	world.changeRow("street-4", { lock: { state: "mine_elsewhere", device: "studio-pc", since: minutesAgo(41) } });
	world.changeRow("street-6", { lock: bobs(3), watched: true });
	world.changeRow("street-7", { unsent: 4 });
	world.changeRow("street-8", { conflicts: 1 });
}

function conflict(world: World): ConflictView {
	const mine = world.sheet(HERE).annotations.get(`${HERE}/0`) as AnnotationView;
	const { id, label_id, geometry, attributes } = mine;
	const fields = { label_id, geometry, attributes };
	world.sheet(HERE).annotations.set(id, { ...mine, sync: "conflict" });
	world.tell({
		event: "annotations",
		data: {
			image_id: HERE,
			changed: [{ ...mine, sync: "conflict" }],
			removed: [],
			history: { can_undo: true, can_redo: false },
			save: world.saveView(),
		},
	});
	return {
		annotation_id: id,
		project_id: STREETS.project.id,
		image_id: HERE,
		file_name: world.row(HERE).file_name,
		base: fields,
		mine: fields,
		theirs: {
			id,
			project_id: STREETS.project.id,
			image_id: HERE,
			created_by: BOB.id,
			created_at: minutesAgo(90),
			updated_by: BOB.id,
			updated_at: minutesAgo(1),
			version: 2,
			label_id: "sign",
			geometry,
			attributes,
		},
		your_version: 1,
		current_version: 2,
		last_updated_at: minutesAgo(1),
		last_updated_by: BOB.name,
		fields: ["label_id"],
	};
}

export const SCENES: Record<string, Scene> = {
	images: { before: someGoingOn },
	editing: opened(),
	read_only: lookingAtBobs(),
	free: lookingAtBobs((world) => {
		world.changeRow(HERE, { lock: { state: "free" } });
		world.setAccess({ state: "read_only", holder: null, free: true });
		const { file_name } = world.row(HERE);
		const data = { notice: "image_free" as const, project_id: STREETS.project.id, image_id: HERE, file_name };
		world.tell({ event: "notice", data });
	}),
	elsewhere: opened((world) => {
		const lock = { state: "mine_elsewhere" as const, device: "studio-pc", since: minutesAgo(41) };
		world.changeRow(HERE, { lock });
		world.setAccess(world.readOnly(world.row(HERE)));
	}),
	acquiring: opened((world) => world.setAccess({ state: "acquiring" })),
	jeopardy: opened((world) => world.setAccess({ state: "jeopardy", until: fromNow(47_000) })),
	lost: opened((world) => {
		world.setAccess({ state: "lost", reason: "forced", by: BOB.name });
		world.changeRow(HERE, { lock: bobs(0) });
		const { file_name } = world.row(HERE);
		world.tell({
			event: "notice",
			data: {
				notice: "lock_lost",
				project_id: STREETS.project.id,
				image_id: HERE,
				file_name,
				reason: "forced",
				by: BOB.name,
			},
		});
	}),
	offline: {
		before(world) {
			const { annotations } = world.sheet(HERE);
			for (const at of [1, 4, 6]) {
				const view = annotations.get(`${HERE}/${at}`);
				if (view) annotations.set(view.id, { ...view, sync: "unsent" });
			}
			world.changeRow(HERE, { unsent: 3 });
		},
		during: (world) => opened(() => world.setOnline(false)).during?.(world),
	},
	conflict: opened((world) => {
		world.answer = () => false;
		world.addConflict(conflict(world));
	}),
	kept: opened((world) => {
		world.answer = () => true;
		world.addConflict(conflict(world));
	}),
	refused: opened((world) => {
		world.refused = 2;
		world.tell({ event: "save", data: world.saveView() });
	}),
	edit_fails: opened((world) => {
		world.failing.set("edit", failure("storage", "This machine could not store its data: disk full"));
	}),
	not_mine: {
		...opened(),
		before(world) {
			const { annotations } = world.sheet(HERE);
			for (const view of annotations.values()) annotations.set(view.id, { ...view, editable: view.id > `${HERE}/4` });
		},
	},

	empty: {
		before(world) {
			world.rows = [];
		},
	},
	no_project: {
		before(world) {
			world.memberOf = [];
		},
	},
	projects: {
		before(world) {
			world.memberOf = [STREETS, HARBOUR];
		},
	},
	loading: {
		before(world) {
			world.hanging.add("openProject");
		},
	},
	opening: {
		before: (world) => void world.hanging.add("openImage"),
		during: open,
	},
	starting: {
		before(world) {
			world.hanging.add("account");
		},
	},
	failed: {
		before(world) {
			world.failing.set("openProject", failure("storage", "The local database could not be read."));
		},
	},
	many: {
		before(world) {
			world.rows = imageRows(100_000);
		},
	},

	sign_in: {
		before(world) {
			world.signedIn = { ...world.signedIn, user: null };
		},
	},
	no_server: {
		before(world) {
			world.signedIn = { ...world.signedIn, user: null };
			world.reachable = false;
		},
	},
	this_run_only: {
		before(world) {
			world.signedIn = {
				...world.signedIn,
				user: null,
				this_run_only: "no keychain answers on this computer.",
			};
		},
	},
	signed_in_for_this_run: {
		before(world) {
			someGoingOn(world);
			world.signedIn = { ...world.signedIn, this_run_only: "no keychain answers on this computer." };
		},
	},
	sign_in_again: opened((world) => {
		world.signedIn = { ...world.signedIn, sign_in_again: true };
		world.tell({ event: "account", data: world.signedIn });
		world.tell({ event: "save", data: { ...world.saveView(), state: "saved_here", unsent: 3 } });
	}),
};
