/** Points and the lines between them, in picture pixels. */

export type Point = [x: number, y: number];

export const plus = (a: Point, b: Point): Point => [a[0] + b[0], a[1] + b[1]];
export const minus = (a: Point, b: Point): Point => [a[0] - b[0], a[1] - b[1]];
export const distance = (a: Point, b: Point): number => Math.hypot(a[0] - b[0], a[1] - b[1]);
export const same = (a: Point, b: Point): boolean => a[0] === b[0] && a[1] === b[1];

/** A hundredth of a pixel is finer than any hand, and keeps what is sent and compared short. */
export const hundredths = (value: number): number => Math.round(value * 100) / 100;
export const tidy = (point: Point): Point => [hundredths(point[0]), hundredths(point[1])];

/** `point` turned clockwise about `centre`. */
export function rotated(point: Point, centre: Point, degrees: number): Point {
	const [sin, cos] = sinCos(degrees);
	const [x, y] = minus(point, centre);
	return [centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos];
}

function sinCos(degrees: number): [number, number] {
	// Right angles come out exact, so that turning a box a quarter leaves whole numbers whole.
	const turn = ((degrees % 360) + 360) % 360;
	if (turn % 90 === 0) {
		return [[0, 1, 0, -1][turn / 90] as number, [1, 0, -1, 0][turn / 90] as number];
	}
	const radians = (degrees * Math.PI) / 180;
	return [Math.sin(radians), Math.cos(radians)];
}

/** The place on the line from `a` to `b` that is closest to `point`. */
export function nearestOnLine(point: Point, a: Point, b: Point): Point {
	const [dx, dy] = minus(b, a);
	const length = dx * dx + dy * dy;
	if (length === 0) return a;
	const along = ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / length;
	const clamped = Math.min(1, Math.max(0, along));
	return [a[0] + dx * clamped, a[1] + dy * clamped];
}

/** `to` moved onto the nearest of the eight directions from `from`. */
export function alongEighth(from: Point, to: Point): Point {
	const [dx, dy] = minus(to, from);
	const eighth = Math.PI / 4;
	const direction = Math.round(Math.atan2(dy, dx) / eighth) * eighth;
	const [ux, uy] = [Math.cos(direction), Math.sin(direction)];
	const along = dx * ux + dy * uy;
	return [from[0] + ux * along, from[1] + uy * along];
}
