import { contains, grown } from "../rect";
import type { GeometryOf, Kind } from "./kind";

type Mask = GeometryOf<"mask">;

const bounds = ({ x, y, width, height }: Mask) => ({ left: x, top: y, right: x + width, bottom: y + height });

export const mask: Kind<Mask> = {
	bounds,
	touches: (shape, at, reach) => contains(grown(bounds(shape), reach), at),
	// A bitmap lies on whole pixels.
	moved: (shape, [dx, dy]) => ({ ...shape, x: Math.round(shape.x + dx), y: Math.round(shape.y + dy) }),
	handles: () => [],
	withHandleAt: (shape) => shape,
};
