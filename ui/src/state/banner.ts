/** What the lock banner says and offers, for every access there is. */

import { say } from "../strings/say";
import { clock, countdown } from "../strings/time";
import type { Access, SessionView } from "../wire.gen";

export type Offer = "notify" | "edit_now" | "edit_here" | "take_back" | "force";

export interface Banner {
	tone: "mine" | "theirs" | "calm" | "warning" | "lost";
	says: string;
	/** Time left, set apart so that it does not push the sentence about as it ticks. */
	left?: string;
	/** What is announced, where the sentence changes as time goes by and that is no news. */
	news?: string;
	offers: readonly Offer[];
}

/** While another image is being opened, this one's lock is being given back: nothing may claim it. */
export const turningTo = (name: string): Banner => ({ tone: "calm", says: say("image.opening", { name }), offers: [] });

export function banner({ access, may_force }: SessionView, now: number): Banner {
	switch (access.state) {
		case "editing":
			return {
				tone: "mine",
				says: say("access.editing", { time: clock(access.until, now) }),
				news: say("lock.mine"),
				left: say("access.left", { left: countdown(access.until, now) }),
				offers: [],
			};
		case "jeopardy":
			return {
				tone: "warning",
				says: say("access.jeopardy", { left: countdown(access.until, now) }),
				news: say("access.jeopardy.news"),
				offers: [],
			};
		case "offline":
			return { tone: "warning", says: say("access.offline"), offers: [] };
		case "acquiring":
			return { tone: "calm", says: say("access.acquiring"), offers: [] };
		case "read_only":
			return readOnly(access, may_force, now);
		case "lost":
			return { tone: "lost", says: lost(access), offers: ["take_back"] };
	}
}

function readOnly({ holder, free }: Extract<Access, { state: "read_only" }>, may_force: boolean, now: number): Banner {
	if (free) return { tone: "calm", says: say("access.free"), offers: ["edit_now"] };
	if (!holder) return { tone: "calm", says: say("access.looking"), offers: [] };
	const time = clock(holder.since, now);
	if (holder.is_me) {
		const { device } = holder;
		const says = device
			? say("access.mine_elsewhere.device", { device, time })
			: say("access.mine_elsewhere", { time });
		return { tone: "theirs", says, offers: ["edit_here"] };
	}
	return {
		tone: "theirs",
		says: say("access.theirs", { name: holder.user_name, time }),
		offers: may_force ? ["notify", "force"] : ["notify"],
	};
}

function lost({ reason, by }: Extract<Access, { state: "lost" }>): string {
	return reason === "forced" || reason === "taken_over"
		? say(`access.lost.${reason}`, { name: by ?? say("access.somebody") })
		: say(`access.lost.${reason}`);
}
