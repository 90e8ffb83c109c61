/** The core behind Tauri's shell. */

import { convertFileSrc, invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { Event } from "../wire.gen";
import type { Backend } from "./backend";

// Platforms spell a custom protocol's address differently; Tauri knows how.
const origin = () => convertFileSrc("", "lockstep");
const path = (...segments: string[]) => origin() + segments.map(encodeURIComponent).join("/");

export const tauri: Backend = {
	account: () => invoke("account"),
	connection: () => invoke("connection"),
	signIn: (email, password) => invoke("sign_in", { email, password }),
	signOut: () => invoke("sign_out"),
	demoPeople: () => invoke("demo_people"),

	projects: () => invoke("projects"),
	openProject: (projectId) => invoke("open_project", { projectId }),
	images: (projectId) => invoke("images", { projectId }),
	labels: (projectId) => invoke("labels", { projectId }),

	openImage: (projectId, imageId) => invoke("open_image", { projectId, imageId }),
	openReadOnly: (projectId, imageId) => invoke("open_read_only", { projectId, imageId }),
	closeImage: () => invoke("close_image"),
	takeBack: () => invoke("take_back"),
	forceRelease: (projectId, imageId) => invoke("force_release", { projectId, imageId }),
	watch: (projectId, imageId) => invoke("watch", { projectId, imageId }),
	unwatch: (projectId, imageId) => invoke("unwatch", { projectId, imageId }),

	edit: (edit) => invoke("edit", { edit }),
	undo: () => invoke("undo"),
	redo: () => invoke("redo"),

	conflicts: () => invoke("conflicts"),
	askConflict: (annotationId) => invoke("ask_conflict", { annotationId }),
	kept: (projectId, imageId) => invoke("kept", { projectId, imageId }),
	restore: (id) => invoke("restore", { id }),

	syncNow: () => invoke("sync_now"),
	save: () => invoke("save"),
	quit: () => invoke("quit"),

	on: (hear) => listen<Event>("lockstep", ({ payload }) => hear(payload)),

	pictureUrl: (projectId, imageId) => path("picture", projectId, imageId),
	thumbnailUrl: (projectId, imageId) => path("thumbnail", projectId, imageId),
};
