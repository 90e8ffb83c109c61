import { expect, it } from "vitest";
import type { SaveView } from "../wire.gen";
import { saying } from "./saving";

const save = (over: Partial<SaveView>): SaveView => ({
	as_of: 1,
	state: "synced",
	unsent: 0,
	conflicts: 0,
	refused: 0,
	...over,
});

it("says where the changes stand, and how many there are", () => {
	expect(saying("synced", save({}))).toBe("Synced");
	expect(saying("saved_here", save({ unsent: 1 }))).toBe("1 change saved here");
	expect(saying("offline", save({ unsent: 3 }))).toBe("Offline, 3 changes saved here");
	expect(saying("conflict", save({ conflicts: 1 }))).toBe("1 conflict");
	expect(saying("refused", save({ refused: 2 }))).toBe("The server refused 2 changes; they are kept here");
});

it("never says saved of what the core has not confirmed", () => {
	expect(saying("saving", save({ unsent: 3 }))).not.toMatch(/saved/i);
});
