import { describe, expect, it } from "vitest";
import type { Access, SessionView } from "../wire.gen";
import { banner } from "./banner";

const NOW = new Date(2025, 2, 1, 14, 27, 48).getTime();
const at = (hours: number, minutes: number) => new Date(2025, 2, 1, hours, minutes).toISOString();
const bob = { user_id: 2, user_name: "Bob", is_me: false, device: null, since: at(14, 5) };

const session = (access: Access, may_force = false): SessionView => ({
	as_of: 1,
	project_id: "p",
	image_id: "i",
	file_name: "a.jpg",
	width: 1,
	height: 1,
	access,
	may_force,
});

describe("the lock banner", () => {
	it("says until when the lock is mine, and how long that is", () => {
		const { says, left, offers } = banner(session({ state: "editing", until: at(14, 32) }), NOW);
		expect(`${says} (${left})`).toBe("Locked by you until 14:32 (4:12 left)");
		expect(offers).toEqual([]);
	});

	it("announces the lock, not the time", () => {
		const news = ["editing", "jeopardy"].map((state) =>
			[at(14, 32), at(14, 33)].map((until) => banner(session({ state, until } as Access), NOW).news),
		);
		for (const [now, later] of news) {
			expect(now).toBeTruthy();
			expect(now).toBe(later);
		}
	});

	it("warns with the time that is left", () => {
		const { tone, says } = banner(session({ state: "jeopardy", until: at(14, 28) }), NOW);
		expect(tone).toBe("warning");
		expect(says).toContain("0:12");
	});

	it("names the holder, and offers force only to who may", () => {
		const access: Access = { state: "read_only", holder: bob, free: false };
		expect(banner(session(access), NOW).says).toBe("Read-only: Bob is editing since 14:05");
		expect(banner(session(access), NOW).offers).toEqual(["notify"]);
		expect(banner(session(access, true), NOW).offers).toEqual(["notify", "force"]);
	});

	it("offers to edit what is free, whoever held it before", () => {
		expect(banner(session({ state: "read_only", holder: bob, free: true }, true), NOW).offers).toEqual(["edit_now"]);
	});

	it("knows one's own other window", () => {
		const access: Access = { state: "read_only", holder: { ...bob, is_me: true, device: "studio-pc" }, free: false };
		expect(banner(session(access), NOW).says).toContain("studio-pc");
		expect(banner(session(access), NOW).offers).toEqual(["edit_here"]);
	});

	it("says that nothing is lost with the lock", () => {
		for (const reason of ["expired", "forced", "taken_over", "unknown"] as const) {
			const { says, offers } = banner(session({ state: "lost", reason, by: null }), NOW);
			expect(says).toMatch(/^Lost: .*Your changes are kept here\.$/);
			expect(offers).toEqual(["take_back"]);
		}
	});
});
