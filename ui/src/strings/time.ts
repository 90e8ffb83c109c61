/** Moments and spans as people read them. */

import { locale } from "./say";

const HOUR_AND_MINUTE = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const WITH_DAY = new Intl.DateTimeFormat(locale, {
	day: "numeric",
	month: "short",
	hour: "2-digit",
	minute: "2-digit",
	hourCycle: "h23",
});

/** `14:32`, or with its day when that is not today. */
export function clock(moment: string, now: number): string {
	const date = new Date(moment);
	const sameDay = date.toDateString() === new Date(now).toDateString();
	return (sameDay ? HOUR_AND_MINUTE : WITH_DAY).format(date);
}

/** `4:12` until `moment`; never below `0:00`. */
export function countdown(moment: string, now: number): string {
	// Rounded up: it says 0:00 only when the time is over.
	const seconds = Math.max(0, Math.ceil((Date.parse(moment) - now) / 1000));
	const twoDigits = (n: number) => String(n).padStart(2, "0");
	const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
	return hours > 0
		? `${hours}:${twoDigits(minutes)}:${twoDigits(seconds % 60)}`
		: `${minutes}:${twoDigits(seconds % 60)}`;
}
