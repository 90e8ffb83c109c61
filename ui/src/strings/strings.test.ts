import { describe, expect, it } from "vitest";
import { format } from "./message";
import { say } from "./say";
import { countdown } from "./time";

describe("a message", () => {
	it("takes the plural form that its language asks for", () => {
		expect(say("images.count", { count: 1 })).toBe("1 image");
		expect(say("images.count", { count: 12_000 })).toBe("12,000 images");
		const czech = { one: "{count} obrázek", few: "{count} obrázky", other: "{count} obrázků" };
		expect([1, 3, 5].map((count) => format(czech, { count }, "cs"))).toEqual(["1 obrázek", "3 obrázky", "5 obrázků"]);
	});

	it("fills every place, again and again", () => {
		expect(say("force.body", { name: "Alice" })).not.toContain("{");
	});
});

describe("the countdown", () => {
	const now = Date.parse("2025-03-01T14:27:48Z");

	it("counts minutes and seconds", () => expect(countdown("2025-03-01T14:32:00Z", now)).toBe("4:12"));
	it("counts hours when there are some", () => expect(countdown("2025-03-01T15:32:00Z", now)).toBe("1:04:12"));
	it("says 0:00 only when it is over", () => {
		expect(countdown("2025-03-01T14:27:48.200Z", now)).toBe("0:01");
		expect(countdown("2025-03-01T14:27:48Z", now)).toBe("0:00");
		expect(countdown("2025-03-01T14:00:00Z", now)).toBe("0:00");
	});
});
