// Written from the Rust types by `cargo xtask gen`; never edited.

/**
 * What the window may do with the open image, and why.
 */
export type Access = { "state": "editing", 
/**
 * When this window will stop saying so unless the lease is renewed, by this machine's clock.
 */
until: string, } | { "state": "jeopardy", 
/**
 * When the lock must be presumed lost, by this machine's clock.
 */
until: string, } | { "state": "offline" } | { "state": "acquiring" } | { "state": "read_only", 
/**
 * Who has it, if that is why.
 */
holder: Holder | null, 
/**
 * It is free now: offer to take it.
 */
free: boolean, } | { "state": "lost", 
/**
 * How.
 */
reason: LockLoss, 
/**
 * Who ended it, where someone did.
 */
by: string | null, };

/**
 * Who is signed in where, and whether that will be remembered.
 */
export type AccountView = { 
/**
 * Base address of the server.
 */
server: string, 
/**
 * `null`: nobody; show the sign-in screen.
 */
user: User | null, 
/**
 * Why the sign-in lasts for this run only (no keychain); `null` when it is remembered.
 */
this_run_only: string | null, 
/**
 * The sign-in has ended at the server; unsent work is kept and goes out after signing in again.
 */
sign_in_again: boolean, };

/**
 * An annotation as the server stores it.
 */
export type Annotation = { 
/**
 * Made by the client.
 */
id: AnnotationId, 
/**
 * Where the image is.
 */
project_id: ProjectId, 
/**
 * Which image.
 */
image_id: ImageId, 
/**
 * Who drew it.
 */
created_by: UserId, 
/**
 * When it was first stored.
 */
created_at: string, 
/**
 * Who saved this version.
 */
updated_by: UserId, 
/**
 * When this version was stored.
 */
updated_at: string, 
/**
 * The number the next save must name.
 */
version: Version, 
/**
 * What is there; `null` for not said yet.
 */
label_id: LabelId | null, 
/**
 * Where it is.
 */
geometry: Geometry, 
/**
 * Answers to the label's attribute definitions.
 */
attributes: Record<string, unknown>, };

/**
 * The part of an annotation that people edit.
 */
export type AnnotationFields = { 
/**
 * What is there; `null` for not said yet.
 */
label_id: LabelId | null, 
/**
 * Where it is.
 */
geometry: Geometry, 
/**
 * Answers to the label's attribute definitions.
 */
attributes: Record<string, unknown>, };

/**
 * An annotation: a UUIDv7, made by the client so that a retried create is the same create.
 */
export type AnnotationId = string;

/**
 * Where one annotation stands between this machine and the server.
 */
export type AnnotationSync = "synced" | "unsent" | "conflict" | "refused";

/**
 * An annotation of the open image as this machine has it: the working copy.
 */
export type AnnotationView = { 
/**
 * Made where it was drawn.
 */
id: AnnotationId, 
/**
 * The server's version this copy is based on; `null`: never sent.
 */
version: Version | null, 
/**
 * The signed-in user may change it.
 */
editable: boolean, 
/**
 * Where it stands.
 */
sync: AnnotationSync, 
/**
 * What is there; `null` for not said yet.
 */
label_id: LabelId | null, 
/**
 * Where it is.
 */
geometry: Geometry, 
/**
 * Answers to the label's attribute definitions.
 */
attributes: Record<string, unknown>, };

/**
 * An upright box.
 */
export type Bbox = { 
/**
 * Left edge.
 */
x: number, 
/**
 * Top edge.
 */
y: number, 
/**
 * Never negative.
 */
width: number, 
/**
 * Never negative.
 */
height: number, };

/**
 * Two people changed the same thing of one annotation.
 */
export type ConflictView = { 
/**
 * Which annotation.
 */
annotation_id: AnnotationId, 
/**
 * Where the image is.
 */
project_id: ProjectId, 
/**
 * Which image.
 */
image_id: ImageId, 
/**
 * The image's.
 */
file_name: string, 
/**
 * What both started from.
 */
base: AnnotationFields | null, 
/**
 * This machine's; `null`: deleted here.
 */
mine: AnnotationFields | null, 
/**
 * The server's; `null`: deleted there.
 */
theirs: Annotation | null, 
/**
 * What mine was based on.
 */
your_version: Version, 
/**
 * What the server has.
 */
current_version: Version, 
/**
 * When the server's was saved.
 */
last_updated_at: string, 
/**
 * Who saved it.
 */
last_updated_by: string, 
/**
 * Fields that both changed: `label_id`, `geometry`, `attributes.NAME`, or `deleted`.
 */
fields: Array<string>, };

/**
 * What changed on the open image: after an edit, an undo, a redo, or news from the server.
 */
export type Delta = { 
/**
 * Which image.
 */
image_id: ImageId, 
/**
 * New or changed.
 */
changed: Array<AnnotationView>, 
/**
 * No longer there.
 */
removed: Array<AnnotationId>, 
/**
 * What undo and redo would do now.
 */
history: HistoryView, 
/**
 * Where the changes stand now.
 */
save: SaveView, };

/**
 * One step of editing, as the window makes it: all of it is one undo.
 */
export type Edit = { 
/**
 * In order.
 */
changes: Array<EditChange>, };

/**
 * A part of a step.
 */
export type EditChange = { "change": "put", 
/**
 * Made by the window for a new one (UUIDv7).
 */
id: AnnotationId, 
/**
 * What is there; `null` for not said yet.
 */
label_id: LabelId | null, 
/**
 * Where it is.
 */
geometry: Geometry, 
/**
 * Answers to the label's attribute definitions.
 */
attributes: Record<string, unknown>, } | { "change": "remove", 
/**
 * Which.
 */
id: AnnotationId, };

/**
 * An ellipse.
 */
export type Ellipse = { 
/**
 * Centre.
 */
cx: number, 
/**
 * Centre.
 */
cy: number, 
/**
 * Half the width before rotation.
 */
rx: number, 
/**
 * Half the height before rotation.
 */
ry: number, 
/**
 * Degrees clockwise.
 */
angle: number, };

/**
 * Facts as they come up from the core, on one channel.
 */
export type Event = { "event": "account", "data": AccountView } | { "event": "connection", "data": { 
/**
 * It does.
 */
online: boolean, } } | { "event": "images", "data": { 
/**
 * Which project.
 */
project_id: ProjectId, 
/**
 * The changed ones.
 */
rows: Array<ImageRow> | null, } } | { "event": "labels", "data": { 
/**
 * Which project.
 */
project_id: ProjectId, 
/**
 * As they are now.
 */
labels: Array<Label>, } } | { "event": "session", "data": SessionView } | { "event": "annotations", "data": Delta } | { "event": "save", "data": SaveView } | { "event": "conflict", "data": ConflictView } | { "event": "notice", "data": Notice } | { "event": "open_requested", "data": { 
/**
 * Where the image is.
 */
project_id: ProjectId, 
/**
 * Which image.
 */
image_id: ImageId, } };

/**
 * Every kind of geometry an annotation can have.
 */
export type Geometry = { "type": "bbox" } & Bbox | { "type": "obb" } & Obb | { "type": "polygon" } & Polygon | { "type": "multipolygon" } & Multipolygon | { "type": "polyline" } & Polyline | { "type": "keypoints" } & Keypoints | { "type": "ellipse" } & Ellipse | { "type": "mask" } & Mask | { "type": "tag" } & Tag;

/**
 * What undo and redo would do.
 */
export type HistoryView = { 
/**
 * There is a step to take back.
 */
can_undo: boolean, 
/**
 * There is a step to do again.
 */
can_redo: boolean, };

/**
 * The holder of a lock that is not this window's.
 */
export type Holder = { 
/**
 * The account.
 */
user_id: UserId, 
/**
 * As people see it.
 */
user_name: string, 
/**
 * It is the signed-in person, elsewhere.
 */
is_me: boolean, 
/**
 * The machine.
 */
device: string | null, 
/**
 * Since when, by the server's clock.
 */
since: string, };

/**
 * An image within its project: text of 1 to 255 printable characters.
 */
export type ImageId = string;

/**
 * A row of the image list.
 */
export type ImageRow = { 
/**
 * Which image.
 */
id: ImageId, 
/**
 * As it was imported.
 */
file_name: string, 
/**
 * Pixels, upright.
 */
width: number, 
/**
 * Pixels, upright.
 */
height: number, 
/**
 * With this machine's unsent ones.
 */
annotation_count: number, 
/**
 * Who has it.
 */
lock: LockView, 
/**
 * Changes kept here that the server does not have.
 */
unsent: number, 
/**
 * Conflicts waiting for a decision.
 */
conflicts: number, 
/**
 * Someone asked here to be told when it is free.
 */
watched: boolean, };

/**
 * A version that lost a conflict, kept for its author to bring back.
 */
export type KeptVersion = { 
/**
 * For [`Client::restore`](crate::Client::restore).
 */
id: number, 
/**
 * Which annotation.
 */
annotation_id: AnnotationId, 
/**
 * Whose it was: a person's name, or `null` for this machine's own.
 */
author: string | null, 
/**
 * What it was; `null`: a deletion.
 */
fields: AnnotationFields | null, 
/**
 * When it was set aside, by this machine's clock.
 */
kept_at: string, };

/**
 * Named points in the order of the label's skeleton; a single point is one of these.
 */
export type Keypoints = { 
/**
 * At least one.
 */
points: Array<[number, number, number]>, };

/**
 * What an annotation says is there.
 */
export type Label = { 
/**
 * Stays when the name changes.
 */
id: LabelId, 
/**
 * As people see it.
 */
name: string, 
/**
 * `#rrggbb`.
 */
color: string, 
/**
 * A digit key, `1` to `9` or `0`.
 */
hotkey?: string | null, };

/**
 * A label of a project.
 */
export type LabelId = string;

/**
 * How a lock ended other than by its holder's release.
 */
export type LockLoss = "expired" | "forced" | "taken_over" | "unknown";

/**
 * Who has an image, as far as this machine knows.
 */
export type LockView = { "state": "free" } | { "state": "mine" } | { "state": "mine_elsewhere", 
/**
 * The other machine, for people.
 */
device: string | null, 
/**
 * Since when, by the server's clock.
 */
since: string, } | { "state": "theirs", 
/**
 * The holder.
 */
user_id: UserId, 
/**
 * The holder's.
 */
user_name: string, 
/**
 * Since when, by the server's clock.
 */
since: string, } | { "state": "unknown" };

/**
 * A bitmap over a cut-out of the image.
 */
export type Mask = { 
/**
 * Left edge of the cut-out.
 */
x: number, 
/**
 * Top edge of the cut-out.
 */
y: number, 
/**
 * Whole pixels.
 */
width: number, 
/**
 * Whole pixels.
 */
height: number, 
/**
 * COCO's compressed run-length encoding of the cut-out, column by column
 * (pycocotools, `maskApi.c`).
 */
rle: string, };

/**
 * Several polygons that are one annotation.
 */
export type Multipolygon = { 
/**
 * Each as in [`Polygon::rings`].
 */
polygons: Array<Array<Array<[number, number]>>>, };

/**
 * Something to tell a person who may be looking elsewhere.
 */
export type Notice = { "notice": "image_free", 
/**
 * Where the image is.
 */
project_id: ProjectId, 
/**
 * Which image.
 */
image_id: ImageId, 
/**
 * The image's.
 */
file_name: string, } | { "notice": "lock_lost", 
/**
 * Where the image is.
 */
project_id: ProjectId, 
/**
 * Which image.
 */
image_id: ImageId, 
/**
 * The image's.
 */
file_name: string, 
/**
 * How.
 */
reason: LockLoss, 
/**
 * Who ended it, where someone did.
 */
by: string | null, };

/**
 * A rotated box.
 */
export type Obb = { 
/**
 * Centre.
 */
cx: number, 
/**
 * Centre.
 */
cy: number, 
/**
 * Before rotation.
 */
width: number, 
/**
 * Before rotation.
 */
height: number, 
/**
 * Degrees clockwise.
 */
angle: number, };

/**
 * How opening went.
 */
export type OpenOutcome = { "outcome": "opened", 
/**
 * With everything on it.
 */
image: OpenedImage, } | { "outcome": "locked", 
/**
 * The holder.
 */
holder: Holder, };

/**
 * The open image with everything on it.
 */
export type OpenedImage = { 
/**
 * The image and what may be done with it.
 */
session: SessionView, 
/**
 * In drawing order.
 */
annotations: Array<AnnotationView>, 
/**
 * What undo and redo would do.
 */
history: HistoryView, 
/**
 * Where its changes stand.
 */
save: SaveView, };

/**
 * An outer ring, then its holes.
 */
export type Polygon = { 
/**
 * At least one ring of at least three points.
 */
rings: Array<Array<[number, number]>>, };

/**
 * An open line.
 */
export type Polyline = { 
/**
 * At least two points.
 */
points: Array<[number, number]>, };

/**
 * A project as its member sees it.
 */
export type Project = { 
/**
 * Chosen by who made it.
 */
id: ProjectId, 
/**
 * As people see it.
 */
name: string, 
/**
 * The asking user's.
 */
role: Role, 
/**
 * Annotators may change what others drew.
 */
annotators_edit_all: boolean, };

/**
 * A project: text of 1 to 50 printable characters.
 */
export type ProjectId = string;

/**
 * A project, and what of it waits on this machine.
 */
export type ProjectView = { 
/**
 * As the server gave it last.
 */
project: Project, 
/**
 * How many images it has.
 */
images: number, };

/**
 * What someone decided about a conflict. Cancel is not one of these: nothing happens and it waits on.
 */
export type Resolution = "reload_latest" | "overwrite";

/**
 * What someone may do in a project.
 */
export type Role = "owner" | "manager" | "annotator" | "reviewer" | "viewer";

/**
 * See [`SaveView::state`].
 */
export type SaveState = "synced" | "saved_here" | "syncing" | "offline" | "conflict" | "refused";

/**
 * Where the changes on this machine stand: always in sight.
 */
export type SaveView = { 
/**
 * Grows with every look at this machine's state, for the life of the program. What a command answers and
 * what an event tells travel apart: whoever holds a later one ignores an earlier one.
 */
as_of: number, 
/**
 * The worst of what there is, for the status bar.
 */
state: SaveState, 
/**
 * Changes kept here that the server does not have, of all images.
 */
unsent: number, 
/**
 * Conflicts waiting for a decision, of all images.
 */
conflicts: number, 
/**
 * Changes the server refused, of all images; kept here.
 */
refused: number, };

/**
 * The open image.
 */
export type SessionView = { 
/**
 * As [`SaveView::as_of`], of the same count: whoever heard a later one ignores an earlier one.
 */
as_of: number, 
/**
 * Where the image is.
 */
project_id: ProjectId, 
/**
 * Which image.
 */
image_id: ImageId, 
/**
 * As it was imported.
 */
file_name: string, 
/**
 * Pixels, upright.
 */
width: number, 
/**
 * Pixels, upright.
 */
height: number, 
/**
 * What may be done.
 */
access: Access, 
/**
 * The signed-in user may end another's lock.
 */
may_force: boolean, };

/**
 * Says something of the whole image.
 */
export type Tag = {  };

/**
 * A person.
 */
export type User = { 
/**
 * The account.
 */
id: UserId, 
/**
 * As colleagues see it.
 */
name: string, 
/**
 * What one signs in with.
 */
email: string, };

/**
 * A person's account.
 */
export type UserId = number;

/**
 * The number a save is based on; grows by one with each save of an annotation.
 */
export type Version = number;
