//! Projects, members and labels.

use deadpool_postgres::Pool;
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::{ImageId, Label, LabelId, Project, ProjectId, Role, User, UserId};
use tokio_postgres::Row;

use super::accounts::user_of;
use super::changes::record;
use super::connection::{Connection, Transaction};
use super::locks;
use crate::store::changes::Kind;
use crate::store::names::{from_name, to_name};
use crate::store::{
    Added, ImageKey, LabelOutcome, LabelRule, LabelScene, Member, NewProject, RoleChange, RoleOutcome,
    RoleRule, RoleScene,
};

pub(super) async fn add_project(pool: &Pool, project: &NewProject) -> anyhow::Result<Added<Project>> {
    let tx = Transaction::begin(pool).await?;
    let added = tx
        .execute(
            "INSERT INTO projects (id, name, annotators_edit_all, created_at) VALUES ($1, $2, $3, now_ms())
             ON CONFLICT (id) DO NOTHING",
            &[&project.id.as_str(), &project.name, &project.annotators_edit_all],
        )
        .await?;
    if added == 0 {
        tx.commit().await?;
        return Ok(Added::Taken);
    }
    set_role(&tx, &project.id, project.owner, Some(Role::Owner), None).await?;
    tx.commit().await?;
    Ok(Added::New(Project {
        id: project.id.clone(),
        name: project.name.clone(),
        role: Role::Owner,
        annotators_edit_all: project.annotators_edit_all,
    }))
}

pub(super) async fn projects_of(pool: &Pool, user: UserId) -> anyhow::Result<Vec<Project>> {
    let db = Connection::of(pool).await?;
    let rows = db
        .query(
            "SELECT id, name, role, annotators_edit_all FROM projects JOIN members ON project_id = id
             WHERE user_id = $1 ORDER BY name, id",
            &[&user.0],
        )
        .await?;
    let project = |row: &Row| {
        Ok(Project {
            id: ProjectId(row.try_get(0)?),
            name: row.try_get(1)?,
            role: from_name(row.try_get(2)?)?,
            annotators_edit_all: row.try_get(3)?,
        })
    };
    rows.iter().map(project).collect()
}

pub(super) async fn role(db: &Connection, project: &ProjectId, user: UserId) -> anyhow::Result<Option<Role>> {
    let found = db
        .query_opt(
            "SELECT role FROM members WHERE project_id = $1 AND user_id = $2",
            &[&project.as_str(), &user.0],
        )
        .await?;
    found.map(|row| from_name(row.try_get(0)?)).transpose()
}

pub(super) async fn role_in(pool: &Pool, project: &ProjectId, user: UserId) -> anyhow::Result<Option<Role>> {
    role(&Connection::of(pool).await?, project, user).await
}

pub(super) async fn owner(pool: &Pool, project: &ProjectId) -> anyhow::Result<Option<User>> {
    let db = Connection::of(pool).await?;
    let found = db
        .query_opt(
            "SELECT id, name, email FROM members JOIN users ON id = user_id WHERE project_id = $1 AND role = $2
             ORDER BY name, id LIMIT 1",
            &[&project.as_str(), &to_name(Role::Owner)?],
        )
        .await?;
    found.as_ref().map(user_of).transpose()
}

pub(super) async fn members(
    pool: &Pool,
    project: &ProjectId,
    reader: UserId,
) -> anyhow::Result<Option<Vec<Member>>> {
    let db = Connection::of(pool).await?;
    let rows = db
        .query(
            "SELECT id, users.name, email, members.role FROM members AS reader
             JOIN members ON members.project_id = reader.project_id JOIN users ON id = members.user_id
             WHERE reader.project_id = $1 AND reader.user_id = $2 ORDER BY users.name, id",
            &[&project.as_str(), &reader.0],
        )
        .await?;
    // A member reads of himself at least.
    if rows.is_empty() {
        return Ok(None);
    }
    let member = |row: &Row| {
        Ok(Member {
            user: user_of(row)?,
            role: from_name(row.try_get(3)?)?,
        })
    };
    rows.iter().map(member).collect::<anyhow::Result<_>>().map(Some)
}

pub(super) async fn change_role(
    pool: &Pool,
    change: &RoleChange,
    rule: &RoleRule,
) -> anyhow::Result<RoleOutcome> {
    let RoleChange {
        project,
        member,
        role: after,
        by,
    } = change;
    let tx = Transaction::begin(pool).await?;
    locks::alone_in(&tx, project).await?;
    let scene = RoleScene {
        asker: match by {
            Some(by) => role(&tx, project, *by).await?,
            None => None,
        },
        before: role(&tx, project, *member).await?,
    };
    let outcome = match rule(&scene) {
        Ok(()) => set_role(&tx, project, *member, *after, *by).await?,
        Err(refusal) => RoleOutcome::Refused(refusal),
    };
    tx.commit().await?;
    Ok(outcome)
}

async fn set_role(
    tx: &Transaction,
    project: &ProjectId,
    user: UserId,
    role: Option<Role>,
    by: Option<UserId>,
) -> anyhow::Result<RoleOutcome> {
    let changed = match role {
        Some(role) => {
            tx.execute(
                "INSERT INTO members (project_id, user_id, role)
                 SELECT projects.id, users.id, $3 FROM projects, users WHERE projects.id = $1 AND users.id = $2
                 ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role",
                &[&project.as_str(), &user.0, &to_name(role)?],
            )
            .await?
        }
        None => {
            tx.execute(
                "DELETE FROM members WHERE project_id = $1 AND user_id = $2",
                &[&project.as_str(), &user.0],
            )
            .await?
        }
    };
    if changed == 0 {
        return Ok(RoleOutcome::Unknown);
    }
    let mut ended = Vec::new();
    if !role.is_some_and(Role::annotates) {
        let held = tx
            .query(
                "SELECT image_id FROM image_locks WHERE project_id = $1 AND user_id = $2",
                &[&project.as_str(), &user.0],
            )
            .await?;
        for row in held {
            let key = ImageKey {
                project: project.clone(),
                image: ImageId(row.try_get(0)?),
            };
            ended.extend(locks::end(tx, &key, ReleaseReason::Forced, by).await?);
        }
    }
    record(tx, project, Kind::Member, &user.to_string()).await?;
    Ok(RoleOutcome::Changed(ended))
}

pub(super) async fn labels(
    pool: &Pool,
    project: &ProjectId,
    reader: UserId,
) -> anyhow::Result<Option<Vec<Label>>> {
    let db = Connection::of(pool).await?;
    let rows = db
        .query(
            "SELECT label FROM members AS reader
             LEFT JOIN labels ON labels.project_id = reader.project_id AND NOT deleted
             WHERE reader.project_id = $1 AND reader.user_id = $2 ORDER BY position",
            &[&project.as_str(), &reader.0],
        )
        .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut labels = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(label) = row.try_get::<_, Option<&str>>(0)? {
            labels.push(serde_json::from_str(label)?);
        }
    }
    Ok(Some(labels))
}

async fn label(db: &Connection, project: &ProjectId, id: &LabelId) -> anyhow::Result<Option<Label>> {
    let found = db
        .query_opt(
            "SELECT label FROM labels WHERE project_id = $1 AND id = $2 AND NOT deleted",
            &[&project.as_str(), &id.as_str()],
        )
        .await?;
    found
        .map(|row| Ok(serde_json::from_str(row.try_get(0)?)?))
        .transpose()
}

pub(super) async fn update_label(
    pool: &Pool,
    project: &ProjectId,
    id: &LabelId,
    by: UserId,
    rule: &LabelRule,
) -> anyhow::Result<LabelOutcome> {
    let tx = Transaction::begin(pool).await?;
    locks::alone_in(&tx, project).await?;
    let scene = LabelScene {
        asker: role(&tx, project, by).await?,
        label: label(&tx, project, id).await?,
    };
    let outcome = rule(&scene);
    if let Ok(after) = &outcome {
        match after {
            Some(label) => {
                tx.execute(
                    "INSERT INTO labels (project_id, id, position, label)
                     VALUES ($1, $2, (SELECT count(*) FROM labels WHERE project_id = $1), $3)
                     ON CONFLICT (project_id, id) DO UPDATE SET label = excluded.label, deleted = false",
                    &[&project.as_str(), &id.as_str(), &serde_json::to_string(label)?],
                )
                .await?;
            }
            None => {
                tx.execute(
                    "UPDATE labels SET deleted = true WHERE project_id = $1 AND id = $2",
                    &[&project.as_str(), &id.as_str()],
                )
                .await?;
            }
        }
        record(&tx, project, Kind::Label, id.as_str()).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}
