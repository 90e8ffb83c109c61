/** Which part of the picture is on the screen, and how large. Pure: a view is a value. */

import type { Point } from "../document/point";
import { type Rect, rectOf, type Size } from "../document/rect";

/** From the picture to CSS pixels of the canvas: times `scale`, then plus `x`, `y`. */
export interface View {
	readonly scale: number;
	readonly x: number;
	readonly y: number;
}

/** So deep that a picture's pixel is as large as a fingertip. */
const DEEPEST = 64;
/** Air around a picture that fits, in screen pixels: handles on its edge can be taken hold of. */
const AIR = 24;
/** How much of the picture stays in sight however far it is pushed, in screen pixels. */
const IN_SIGHT = 48;

export function fitted(picture: Size, screen: Size): View {
	const room = (whole: number) => Math.max(1, whole - 2 * AIR);
	const scale = Math.min(room(screen.width) / picture.width, room(screen.height) / picture.height, DEEPEST);
	return centred(scale, picture, screen);
}

export const actualSize = (view: View, picture: Size, screen: Size): View =>
	zoomedTo(view, 1, [screen.width / 2, screen.height / 2], picture, screen);

/** What is at `at` on the screen stays there. */
export function zoomedTo(view: View, scale: number, at: Point, picture: Size, screen: Size): View {
	const whole = fitted(picture, screen).scale;
	const within = Math.min(DEEPEST, Math.max(Math.min(whole, 1) / 4, scale));
	const factor = within / view.scale;
	const [x, y] = [at[0] - (at[0] - view.x) * factor, at[1] - (at[1] - view.y) * factor];
	return inSight({ scale: within, x, y }, picture, screen);
}

export const zoomedBy = (view: View, factor: number, at: Point, picture: Size, screen: Size): View =>
	zoomedTo(view, view.scale * factor, at, picture, screen);

export const panned = (view: View, by: Point, picture: Size, screen: Size): View =>
	inSight({ ...view, x: view.x + by[0], y: view.y + by[1] }, picture, screen);

/** The same place in the middle after the screen has changed its size. */
export const rescreened = (view: View, picture: Size, before: Size, after: Size): View =>
	panned(view, [(after.width - before.width) / 2, (after.height - before.height) / 2], picture, after);

export const toScreen = (view: View, [x, y]: Point): Point => [x * view.scale + view.x, y * view.scale + view.y];

export const toPicture = (view: View, [x, y]: Point): Point => [(x - view.x) / view.scale, (y - view.y) / view.scale];

export function onPicture(view: View, screen: Rect): Rect {
	const [left, top] = toPicture(view, [screen.left, screen.top]);
	const [right, bottom] = toPicture(view, [screen.right, screen.bottom]);
	return { left, top, right, bottom };
}

export const inSightOf = (view: View, screen: Size): Rect => onPicture(view, rectOf(screen));

/** The view in the screen's own pixels and on whole ones, so that edges and rasters meet without a blur. */
export const onDevice = (view: View, ratio: number): View => ({
	scale: view.scale * ratio,
	x: Math.round(view.x * ratio),
	y: Math.round(view.y * ratio),
});

export const sameView = (a: View, b: View): boolean => a.scale === b.scale && a.x === b.x && a.y === b.y;

function centred(scale: number, picture: Size, screen: Size): View {
	return { scale, x: (screen.width - picture.width * scale) / 2, y: (screen.height - picture.height * scale) / 2 };
}

function inSight(view: View, picture: Size, screen: Size): View {
	const axis = (at: number, size: number, room: number) => {
		const least = Math.min(IN_SIGHT, size, room);
		return Math.min(room - least, Math.max(least - size, at));
	};
	return {
		scale: view.scale,
		x: axis(view.x, picture.width * view.scale, screen.width),
		y: axis(view.y, picture.height * view.scale, screen.height),
	};
}
