//! Projects, members and labels.

use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::{ImageId, Label, LabelId, Project, ProjectId, Role, User, UserId};
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::changes::record;
use super::clock::{Millis, now};
use super::locks;
use crate::store::changes::Kind;
use crate::store::names::{from_name, to_name};
use crate::store::{
    Added, ImageKey, LabelOutcome, LabelRule, LabelScene, Member, NewProject, RoleChange, RoleOutcome,
    RoleRule, RoleScene,
};

pub(super) fn add_project(tx: &Transaction, project: &NewProject) -> anyhow::Result<Added<Project>> {
    let added = tx.execute(
        "INSERT INTO projects (id, name, annotators_edit_all, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO NOTHING",
        params![
            project.id.as_str(),
            project.name,
            project.annotators_edit_all,
            Millis(now(tx)?)
        ],
    )?;
    if added == 0 {
        return Ok(Added::Taken);
    }
    set_role(tx, &project.id, project.owner, Some(Role::Owner), None)?;
    Ok(Added::New(Project {
        id: project.id.clone(),
        name: project.name.clone(),
        role: Role::Owner,
        annotators_edit_all: project.annotators_edit_all,
    }))
}

pub(super) fn projects_of(tx: &Transaction, user: UserId) -> anyhow::Result<Vec<Project>> {
    let mut ask = tx.prepare_cached(
        "SELECT id, name, role, annotators_edit_all FROM projects JOIN members ON project_id = id
         WHERE user_id = ?1 ORDER BY name, id",
    )?;
    let rows = ask.query_map([user.0], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    rows.map(|row| {
        let (id, name, role, annotators_edit_all) = row?;
        Ok(Project {
            id: ProjectId(id),
            name,
            role: from_name(role)?,
            annotators_edit_all,
        })
    })
    .collect()
}

pub(super) fn role(tx: &Transaction, project: &ProjectId, user: UserId) -> anyhow::Result<Option<Role>> {
    let name = tx
        .prepare_cached("SELECT role FROM members WHERE project_id = ?1 AND user_id = ?2")?
        .query_row(params![project.as_str(), user.0], |row| row.get(0))
        .optional()?;
    name.map(from_name).transpose()
}

/// What a member reads, of the same instant as his membership; nothing for a stranger.
pub(super) fn if_member<T>(
    tx: &Transaction,
    project: &ProjectId,
    reader: UserId,
    read: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let member = tx
        .prepare_cached("SELECT 1 FROM members WHERE project_id = ?1 AND user_id = ?2")?
        .exists(params![project.as_str(), reader.0])?;
    if member { read().map(Some) } else { Ok(None) }
}

pub(super) fn owner(tx: &Transaction, project: &ProjectId) -> anyhow::Result<Option<User>> {
    let members = members(tx, project)?;
    let owner = members.into_iter().find(|member| member.role == Role::Owner);
    Ok(owner.map(|member| member.user))
}

pub(super) fn members(tx: &Transaction, project: &ProjectId) -> anyhow::Result<Vec<Member>> {
    let mut ask = tx.prepare_cached(
        "SELECT id, name, email, role FROM members JOIN users ON id = user_id WHERE project_id = ?1 ORDER BY name, id",
    )?;
    let rows = ask.query_map([project.as_str()], |row| {
        let user = User {
            id: UserId(row.get(0)?),
            name: row.get(1)?,
            email: row.get(2)?,
        };
        Ok((user, row.get(3)?))
    })?;
    rows.map(|row| {
        let (user, role) = row?;
        Ok(Member {
            user,
            role: from_name(role)?,
        })
    })
    .collect()
}

pub(super) fn change_role(
    tx: &Transaction,
    change: &RoleChange,
    rule: &RoleRule,
) -> anyhow::Result<RoleOutcome> {
    let RoleChange {
        project,
        member,
        role: after,
        by,
    } = change;
    let scene = RoleScene {
        asker: match by {
            Some(by) => role(tx, project, *by)?,
            None => None,
        },
        before: role(tx, project, *member)?,
    };
    if let Err(refusal) = rule(&scene) {
        return Ok(RoleOutcome::Refused(refusal));
    }
    set_role(tx, project, *member, *after, *by)
}

fn set_role(
    tx: &Transaction,
    project: &ProjectId,
    user: UserId,
    role: Option<Role>,
    by: Option<UserId>,
) -> anyhow::Result<RoleOutcome> {
    let changed = match role {
        Some(role) => tx.execute(
            "INSERT INTO members (project_id, user_id, role)
             SELECT projects.id, users.id, ?3 FROM projects, users WHERE projects.id = ?1 AND users.id = ?2
             ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role",
            params![project.as_str(), user.0, to_name(role)?],
        )?,
        None => tx.execute(
            "DELETE FROM members WHERE project_id = ?1 AND user_id = ?2",
            params![project.as_str(), user.0],
        )?,
    };
    if changed == 0 {
        return Ok(RoleOutcome::Unknown);
    }
    record(tx, project, Kind::Member, &user.to_string())?;
    let mut ended = Vec::new();
    if !role.is_some_and(Role::annotates) {
        let now = now(tx)?;
        let held: Vec<String> = tx
            .prepare_cached("SELECT image_id FROM image_locks WHERE project_id = ?1 AND user_id = ?2")?
            .query_map(params![project.as_str(), user.0], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for image in held {
            let key = ImageKey {
                project: project.clone(),
                image: ImageId(image),
            };
            ended.extend(locks::end(tx, &key, now, ReleaseReason::Forced, by)?);
        }
    }
    Ok(RoleOutcome::Changed(ended))
}

pub(super) fn labels(tx: &Transaction, project: &ProjectId) -> anyhow::Result<Vec<Label>> {
    let mut ask = tx
        .prepare_cached("SELECT label FROM labels WHERE project_id = ?1 AND NOT deleted ORDER BY position")?;
    let rows = ask.query_map([project.as_str()], |row| row.get::<_, String>(0))?;
    rows.map(|label| Ok(serde_json::from_str(&label?)?)).collect()
}

pub(super) fn label(tx: &Transaction, project: &ProjectId, id: &LabelId) -> anyhow::Result<Option<Label>> {
    let label = tx
        .prepare_cached("SELECT label FROM labels WHERE project_id = ?1 AND id = ?2 AND NOT deleted")?
        .query_row([project.as_str(), id.as_str()], |row| row.get::<_, String>(0))
        .optional()?;
    Ok(label.map(|label| serde_json::from_str(&label)).transpose()?)
}

/// Deleted labels are known, too: work done offline may still name them.
pub(super) fn knows_label(tx: &Transaction, project: &ProjectId, id: &LabelId) -> anyhow::Result<bool> {
    let mut ask = tx.prepare_cached("SELECT 1 FROM labels WHERE project_id = ?1 AND id = ?2")?;
    Ok(ask.exists([project.as_str(), id.as_str()])?)
}

pub(super) fn update_label(
    tx: &Transaction,
    project: &ProjectId,
    id: &LabelId,
    by: UserId,
    rule: &LabelRule,
) -> anyhow::Result<LabelOutcome> {
    let scene = LabelScene {
        asker: role(tx, project, by)?,
        label: label(tx, project, id)?,
    };
    let outcome = rule(&scene);
    match &outcome {
        Err(_) => return Ok(outcome),
        Ok(Some(label)) => tx.execute(
            "INSERT INTO labels (project_id, id, position, label)
             VALUES (?1, ?2, (SELECT count(*) FROM labels WHERE project_id = ?1), ?3)
             ON CONFLICT (project_id, id) DO UPDATE SET label = excluded.label, deleted = 0",
            params![project.as_str(), id.as_str(), serde_json::to_string(label)?],
        )?,
        Ok(None) => tx.execute(
            "UPDATE labels SET deleted = 1 WHERE project_id = ?1 AND id = ?2",
            [project.as_str(), id.as_str()],
        )?,
    };
    record(tx, project, Kind::Label, id.as_str())?;
    Ok(outcome)
}
