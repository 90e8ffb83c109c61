#!/bin/sh
# Run by dunst for every notification it shows: one record a notification, fields apart by unit separators.
printf '%s\037%s\037%s\037%s\036' "$DUNST_ID" "$DUNST_APP_NAME" "$DUNST_SUMMARY" "$DUNST_BODY" >>"$LOCKSTEP_STAGE_NOTIFICATIONS"
