/**
 * The one door to the core: every command it takes, every fact it tells.
 *
 * **Invariant:** nothing outside this folder knows whether a shell or a browser stands behind it.
 */

import type {
	AccountView,
	AnnotationId,
	ConflictView,
	Delta,
	Edit,
	Event,
	ImageId,
	ImageRow,
	KeptVersion,
	Label,
	OpenedImage,
	OpenOutcome,
	ProjectId,
	ProjectView,
	SaveView,
} from "../wire.gen";

/** How opening went, once the shell's dialog has been answered. */
export type Opening = OpenOutcome | { outcome: "cancelled" };

/** Someone whom the bundled demo lets in. */
export interface DemoPerson {
	name: string;
	email: string;
	password: string;
}

export interface Backend {
	account(): Promise<AccountView>;
	/** Whether the server answers; `null` while that is not known yet. */
	connection(): Promise<boolean | null>;
	signIn(email: string, password: string): Promise<AccountView>;
	signOut(): Promise<AccountView>;
	/** Empty unless the bundled demo runs. */
	demoPeople(): Promise<DemoPerson[]>;

	projects(): Promise<ProjectView[]>;
	openProject(project: ProjectId): Promise<ImageRow[]>;
	images(project: ProjectId): Promise<ImageRow[]>;
	labels(project: ProjectId): Promise<Label[]>;

	/** Closes the one open before it, whatever comes of this. */
	openImage(project: ProjectId, image: ImageId): Promise<Opening>;
	openReadOnly(project: ProjectId, image: ImageId): Promise<OpenedImage>;
	closeImage(): Promise<void>;
	takeBack(): Promise<Opening>;
	forceRelease(project: ProjectId, image: ImageId): Promise<void>;
	watch(project: ProjectId, image: ImageId): Promise<void>;
	unwatch(project: ProjectId, image: ImageId): Promise<void>;

	/** Durable on this machine when it returns; as are {@link undo}, {@link redo} and {@link restore}. */
	edit(edit: Edit): Promise<Delta>;
	undo(): Promise<Delta>;
	redo(): Promise<Delta>;

	conflicts(): Promise<ConflictView[]>;
	/** Returns when the native dialog has been answered. */
	askConflict(annotation: AnnotationId): Promise<Delta | null>;
	kept(project: ProjectId, image: ImageId): Promise<KeptVersion[]>;
	restore(id: KeptVersion["id"]): Promise<Delta>;

	syncNow(): Promise<void>;
	save(): Promise<SaveView>;
	quit(): Promise<void>;

	/** Calls `hear` with every fact from now on, until the returned function is called. */
	on(hear: (event: Event) => void): Promise<() => void>;

	pictureUrl(project: ProjectId, image: ImageId): string;
	thumbnailUrl(project: ProjectId, image: ImageId): string;
}
