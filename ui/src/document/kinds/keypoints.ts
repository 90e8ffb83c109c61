import { distance, type Point, plus, tidy } from "../point";
import { rectAround } from "../rect";
import type { GeometryOf, Kind } from "./kind";

type Keypoints = GeometryOf<"keypoints">;
type Keypoint = Keypoints["points"][number];

const ABSENT = 0;

/** An absent point keeps its place in the list, not on the picture. */
export const present = ({ points }: Keypoints): Keypoint[] => points.filter((point) => point[2] !== ABSENT);

const place = ([x, y]: Keypoint): Point => [x, y];

const placed = (point: Keypoint, to: Point): Keypoint => [...tidy(to), point[2]];

export const keypoints: Kind<Keypoints> = {
	bounds(shape) {
		const points = present(shape);
		return points.length > 0 ? rectAround(points) : null;
	},
	touches: (shape, at, reach) => present(shape).some((point) => distance(place(point), at) <= reach),
	moved: (shape, by) => ({
		...shape,
		points: shape.points.map((point) => (point[2] === ABSENT ? point : placed(point, plus(place(point), by)))),
	}),
	handles: (shape) => present(shape).map((point) => ({ at: place(point), role: "vertex", cursor: "crosshair" })),
	withHandleAt(shape, handle, to) {
		const point = present(shape)[handle] as Keypoint;
		return { ...shape, points: shape.points.with(shape.points.indexOf(point), placed(point, to)) };
	},
};
