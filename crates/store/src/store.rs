//! Opening the database file.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Executor as _, Sqlite, SqlitePool};

use crate::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long a statement waits for another process that holds the file's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read beside the one that writes.
const READERS: u32 = 4;

/// A handle to the store. Cheap to clone; all clones share the connections.
#[derive(Debug, Clone)]
pub struct Store {
    /// For reading.
    pub(crate) pool: SqlitePool,
    /// The one connection that writes: SQLite has one writer at a time.
    writer: SqlitePool,
}

impl Store {
    /// Opens the store at `path`, making its folder and the file (readable by this user only, mode
    /// 0600) where they are missing, and brings the schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Create`], [`StoreError::Open`] (not a database, locked, unreadable) and
    /// [`StoreError::Schema`] (written by a later version).
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        create_private(path).map_err(|source| StoreError::Create {
            path: path.to_owned(),
            source,
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let open_error = |source| StoreError::Open {
            path: path.to_owned(),
            source,
        };
        let connect = |connections: u32| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(BUSY_TIMEOUT)
                .connect_with(options.clone())
        };
        let writer = connect(1).await.map_err(open_error)?;
        MIGRATIONS
            .run(&writer)
            .await
            .map_err(|source| match source {
                MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
                    open_error(source)
                }
                source => StoreError::Schema {
                    path: path.to_owned(),
                    source,
                },
            })?;
        let pool = connect(READERS).await.map_err(open_error)?;
        Ok(Self { pool, writer })
    }

    /// The connection that writes, alone.
    pub(crate) async fn writer(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        self.writer.acquire().await
    }

    /// Whether the database takes a write, of something that changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn probe(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::Database {
            operation: "take a write",
            source,
        };
        let mut connection = self.writer().await.map_err(failed)?;
        // Nothing here uses this number; setting it writes a page all the same.
        let wrote = connection
            .execute("PRAGMA user_version = 0")
            .await
            .map(drop)
            .map_err(failed);
        give_back(connection, wrote).await
    }

    /// Closes all connections and folds the write-ahead file back. Later calls on any clone fail
    /// with [`StoreError::Database`]. Not closing loses nothing.
    pub async fn close(&self) {
        self.pool.close().await;
        self.writer.close().await;
    }
}

/// Gives the writing connection back. One on which the database failed is closed, and another one
/// takes its place: on a full disk SQLite rolls back by itself, which the driver does not notice, and
/// a file that was opened while it was read-only stays so.
pub(crate) async fn give_back<T>(
    connection: PoolConnection<Sqlite>,
    result: Result<T, StoreError>,
) -> Result<T, StoreError> {
    if let Err(StoreError::Database { .. }) = &result {
        // The failure that counts is known.
        drop(connection.close().await);
    }
    result
}

/// Makes the folder and an empty file that only this user can read; SQLite gives the write-ahead
/// file the same mode. An existing file is left as it is.
fn create_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
