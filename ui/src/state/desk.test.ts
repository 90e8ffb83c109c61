import { beforeEach, describe, expect, it, vi } from "vitest";
import { World } from "../backend/fake";
import { STREETS } from "../backend/fake/cast";
import { failure } from "../backend/fake/world";
import { edit, newAnnotationId, put } from "../document";
import type { ConflictView, Edit } from "../wire.gen";
import { Desk } from "./desk";
import { isAsKept } from "./kept";

const STREET = STREETS.project.id;

let world: World;
let desk: Desk;

beforeEach(async () => {
	world = new World();
	world.latencyMs = 0;
	world.syncMs = 0;
	desk = new Desk(world);
	await desk.start();
});

const aBox = (): Edit =>
	edit(
		put(newAnnotationId(), {
			label_id: "car",
			geometry: { type: "bbox", x: 1, y: 2, width: 30, height: 40 },
			attributes: {},
		}),
	);

describe("starting", () => {
	it("opens the only project", () => {
		expect(desk.projects.open?.name).toBe("Street scenes");
		expect(desk.images.rows).toHaveLength(12);
		expect(desk.projects.labels).toHaveLength(5);
	});

	it("takes in the labels of the open project as they change", () => {
		const labels = [{ id: "dog", name: "Dog", color: "#009e73" }];
		desk.hear({ event: "labels", data: { project_id: "harbour", labels: [] } });
		expect(desk.projects.labels).toHaveLength(5);
		desk.hear({ event: "labels", data: { project_id: STREET, labels } });
		expect(desk.projects.labels).toEqual(labels);
	});

	it("says nothing of the connection and of what is saved before it knows", async () => {
		const early = new Desk(new World());
		expect(early.sync.online).toBeNull();
		expect(early.sync.known).toBe(false);
		await vi.waitFor(() => expect(desk.sync.online).toBe(true));
		expect(desk.sync.known).toBe(true);
	});

	it("asks for what was told of the connection before it listened, and believes later news", async () => {
		const world = new World();
		world.online = false;
		const late = new Desk(world);
		await late.start();
		expect(late.sync.online).toBe(false);
		world.online = true;
		late.hear({ event: "connection", data: { online: true } });
		await late.sync.lookAtConnection();
		expect(late.sync.online).toBe(true);
	});

	it("believes news of an image that overtakes the answer to opening it", async () => {
		const world = new World();
		const early = new Desk(world);
		await early.start();
		await early.openProject(STREET);
		const answers = world.openImage;
		world.openImage = async (project, image) => {
			const opening = await answers(project, image);
			if (opening.outcome !== "opened") return opening;
			const lost = { state: "lost", reason: "forced", by: "Alice" } as const;
			early.hear({
				event: "session",
				data: { ...opening.image.session, access: lost, as_of: opening.image.session.as_of + 1 },
			});
			return opening;
		};
		await early.openImage(STREET, "street-1");
		expect(early.session.view?.access.state).toBe("lost");
	});

	it("leaves nothing of one person's for the next", async () => {
		await desk.openImage(STREET, "street-1");
		await desk.signOut();
		expect(desk.session.view).toBeNull();
		expect(desk.images.rows).toEqual([]);
		expect(desk.projects.list).toBeNull();
	});

	it("says what went wrong with a sign-in", async () => {
		await desk.signOut();
		expect(await desk.signIn("alice@example.org", "guess")).toBe(false);
		expect(desk.account.failure).toBe("The email or the password is not right.");
		world.reachable = false;
		await desk.signIn("alice@example.org", "alice-demo");
		expect(desk.account.failure).toContain("does not answer");
	});

	it("goes on where it was after signing in again", async () => {
		await desk.openImage(STREET, "street-1");
		desk.hear({ event: "account", data: { ...world.signedIn, sign_in_again: true } });
		expect(await desk.signIn("alice@example.org", "alice-demo")).toBe(true);
		expect(desk.session.view?.image_id).toBe("street-1");
	});
});

describe("the image list", () => {
	it("takes in changed rows, and looks again when it does not know them", async () => {
		world.changeRow("street-2", { annotation_count: 99 });
		expect(desk.images.get("street-2")?.annotation_count).toBe(99);
		world.rows = world.rows.slice(0, 3);
		desk.hear({ event: "images", data: { project_id: STREET, rows: null } });
		await vi.waitFor(() => expect(desk.images.rows).toHaveLength(3));
	});

	it("finds by name, and walks among what it found", () => {
		desk.images.search = "SCHOOL";
		expect(desk.images.found.map(({ id }) => id)).toEqual(["street-5", "street-11"]);
		expect(desk.images.neighbour("street-5", 1)?.id).toBe("street-11");
		expect(desk.images.neighbour("street-11", 1)).toBeNull();
	});
});

describe("an edit", () => {
	beforeEach(() => desk.openImage(STREET, "street-3"));

	it("is shown at once, and saved only when the core has it", async () => {
		const edited = desk.session.edit(aBox());
		expect(desk.session.document.count).toBe(1);
		expect(desk.sync.state).toBe("saving");
		await edited;
		expect(desk.sync.state).toBe("saved_here");
		await vi.waitFor(() => expect(desk.sync.state).toBe("synced"));
	});

	it("is taken back with a reason when the core could not keep it", async () => {
		world.failing.set("edit", failure("storage", "The disk is full."));
		await desk.session.edit(aBox());
		expect(desk.session.document.count).toBe(0);
		expect(desk.notes.list[0]?.text).toBe("The change was not accepted and has been taken back. The disk is full.");
		expect(desk.sync.unconfirmed).toBe(0);
	});

	it("says that the lock is gone, when that is why nothing was accepted", async () => {
		world.failing.set("edit", failure("not_editing"));
		await Promise.all([desk.session.edit(aBox()), desk.session.edit(aBox())]);
		expect(desk.session.document.count).toBe(0);
		expect(desk.notes.list.map(({ text }) => text)).toEqual([
			"The change was not accepted and has been taken back. The image is not locked for you any more.",
		]);
	});

	it("reaches the core in the order of drawing, and an undo after it", async () => {
		const order: string[] = [];
		const slowly = (name: "edit" | "undo", ms: number) => {
			const command = world[name] as (edit?: Edit) => Promise<never>;
			(world as unknown as Record<string, unknown>)[name] = async (sent?: Edit) => {
				await new Promise((resolve) => setTimeout(resolve, ms));
				order.push(name);
				return command(sent);
			};
		};
		slowly("edit", 8);
		slowly("undo", 0);
		await Promise.all([desk.session.edit(aBox()), desk.session.undo(), desk.session.edit(aBox())]);
		expect(order).toEqual(["edit", "undo", "edit"]);
		expect(desk.session.document.count).toBe(1);
	});

	it("can be undone and done again", async () => {
		await desk.session.edit(aBox());
		expect(desk.session.document.history).toEqual({ can_undo: true, can_redo: false });
		await desk.session.undo();
		expect(desk.session.document.count).toBe(0);
		await desk.session.redo();
		expect(desk.session.document.count).toBe(1);
	});

	it("waits here while there is no server, and goes when there is", async () => {
		world.setOnline(false);
		await desk.session.edit(aBox());
		expect(desk.sync.state).toBe("offline");
		expect(desk.sync.save.unsent).toBe(1);
		world.setOnline(true);
		await vi.waitFor(() => expect(desk.sync.state).toBe("synced"));
	});
});

describe("a label", () => {
	it("goes to the selected shapes in one step, else to the next shape", async () => {
		await desk.openImage(STREET, "street-1");
		desk.giveLabel("tree");
		expect(desk.pencil.label).toBe("tree");
		const { document } = desk.session;
		const [first, second] = document.annotations.map(({ id }) => id) as [string, string];
		document.select([first, second]);
		desk.giveLabel("sign");
		await vi.waitFor(() => expect(desk.sync.unconfirmed).toBe(0));
		expect(document.selected.map(({ label_id }) => label_id)).toEqual(["sign", "sign"]);
		await desk.session.undo();
		expect(document.get(first)?.label_id).not.toBe("sign");
		expect(document.get(second)?.label_id).not.toBe("sign");
		expect(desk.pencil.label).toBe("tree");
	});
});

describe("another's lock", () => {
	beforeEach(() =>
		world.changeRow("street-1", {
			lock: { state: "theirs", user_id: 2, user_name: "Bob", since: new Date().toISOString() },
		}),
	);

	it("keeps the image closed when the dialog was cancelled", async () => {
		world.answer = () => false;
		await desk.openImage(STREET, "street-1");
		expect(desk.session.view).toBeNull();
		expect(desk.session.opening).toBeNull();
	});

	it("leads back to the image that was open", async () => {
		world.answer = () => false;
		await desk.openImage(STREET, "street-2");
		const opened = desk.openImage(STREET, "street-1");
		expect(desk.session.editable).toBe(false);
		await opened;
		expect(desk.session.view).toMatchObject({ image_id: "street-2", access: { state: "editing" } });
		expect(desk.session.editable).toBe(true);
		expect(world.row("street-2").lock.state).toBe("mine");
	});

	it("leads back to looking, without a question, from where one only looked", async () => {
		const asked = vi.fn(() => true);
		world.answer = asked;
		await desk.openImage(STREET, "street-1");
		world.changeRow("street-2", { lock: world.row("street-1").lock });
		world.answer = () => false;
		await desk.openImage(STREET, "street-2");
		expect(desk.session.view).toMatchObject({ image_id: "street-1", access: { state: "read_only" } });
		expect(asked).toHaveBeenCalledOnce();
	});

	it("leaves nothing open, and says so, when there is no way back either", async () => {
		await desk.openImage(STREET, "street-2");
		world.answer = () => {
			world.failing.set("openImage", failure("offline"));
			return false;
		};
		await desk.openImage(STREET, "street-1");
		expect(desk.session.view).toBeNull();
		expect(desk.session.opening).toBeNull();
		expect(desk.notes.list[0]?.text).toContain("could not be opened");
		expect(world.row("street-2").lock.state).toBe("free");
	});

	it("lets one look, ask to be told, and take it when it is free", async () => {
		world.answer = () => true;
		await desk.openImage(STREET, "street-1");
		expect(desk.session.editable).toBe(false);
		await desk.session.watch(true);
		expect(desk.images.get("street-1")?.watched).toBe(true);
		await desk.session.forceRelease();
		expect(desk.session.view?.access).toMatchObject({ state: "read_only", free: true });
		await desk.session.takeBack();
		expect(desk.session.editable).toBe(true);
	});

	it("tells what became free, with the image to open", () => {
		const data = { notice: "image_free" as const, project_id: STREET, image_id: "street-1", file_name: "a.jpg" };
		desk.hear({ event: "notice", data });
		expect(desk.notes.list[0]).toMatchObject({
			text: "a.jpg is free now.",
			free: { project: STREET, image: "street-1" },
		});
	});

	it.each([
		["is opened", () => desk.openImage(STREET, "street-3")],
		[
			"is someone else's again",
			() => Promise.resolve(world.changeRow("street-3", { lock: world.row("street-1").lock })),
		],
	])("no longer offers what became free once it %s", async (_, happens) => {
		const data = { notice: "image_free" as const, project_id: STREET, image_id: "street-3", file_name: "c.jpg" };
		desk.hear({ event: "notice", data });
		expect(desk.notes.list).toHaveLength(1);
		await happens();
		await vi.waitFor(() => expect(desk.notes.list).toEqual([]));
	});

	it("keeps the later word about the lock, whichever comes first", async () => {
		await desk.openImage(STREET, "street-2");
		const early = desk.session.view;
		world.setAccess({ state: "lost", reason: "forced", by: "Bob" });
		if (early) desk.hear({ event: "session", data: early });
		expect(desk.session.view?.access.state).toBe("lost");
	});

	it("opens what the notification was clicked for", async () => {
		desk.hear({ event: "open_requested", data: { project_id: STREET, image_id: "street-5" } });
		await vi.waitFor(() => expect(desk.session.view?.image_id).toBe("street-5"));
	});
});

describe("a conflict", () => {
	const conflict = (annotation_id: string): ConflictView => ({
		annotation_id,
		project_id: STREET,
		image_id: "street-1",
		file_name: "a.jpg",
		base: null,
		mine: { label_id: "car", geometry: { type: "tag" }, attributes: {} },
		theirs: null,
		your_version: 1,
		current_version: 2,
		last_updated_at: new Date().toISOString(),
		last_updated_by: "Bob",
		fields: ["deleted"],
	});

	it("of the open image is put to the person once, and waits on when that was cancelled", async () => {
		await desk.openImage(STREET, "street-1");
		const asked = vi.fn(() => false);
		world.answer = asked;
		world.addConflict(conflict("street-1/0"));
		world.addConflict(conflict("street-1/1"));
		await vi.waitFor(() => expect(asked).toHaveBeenCalledOnce());
		await vi.waitFor(() => expect(desk.sync.asking).toBe(false));
		expect(desk.sync.save).toMatchObject({ state: "conflict", conflicts: 2 });
	});

	it("of another image is only marked", async () => {
		await desk.openImage(STREET, "street-2");
		const ask = vi.spyOn(desk.sync, "ask");
		world.addConflict(conflict("street-1/0"));
		expect(ask).not.toHaveBeenCalled();
		expect(desk.images.get("street-1")?.conflicts).toBe(1);
	});

	it("leaves the version that lost to be restored", async () => {
		await desk.openImage(STREET, "street-1");
		const count = desk.session.document.count;
		world.answer = () => true;
		world.addConflict(conflict("street-1/0"));
		await vi.waitFor(() => expect(desk.session.kept).toHaveLength(1));
		expect(desk.session.document.count).toBe(count - 1);
		const [version] = desk.session.kept;
		if (version) await desk.session.restore(version);
		expect(desk.session.document.count).toBe(count);
		// It can be had again: an undo takes it away, and it is still there.
		expect(desk.session.kept).toHaveLength(1);
		expect(version && isAsKept(version, desk.session.document)).toBe(true);
		await desk.session.undo();
		expect(version && isAsKept(version, desk.session.document)).toBe(false);
	});
});
